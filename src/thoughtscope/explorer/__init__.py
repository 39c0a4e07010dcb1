"""results/explore.html: one page, without a network, to turn, hover over and filter what a study found.

`points`, `curves` and `page` collect its parts from artifact folders; `page.html`, `page.js` and `page.css` show them.
"""
