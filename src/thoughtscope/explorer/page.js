"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const config = {displaylogo: false, responsive: true};
const unique = values => [...new Set(values)];
const escaped = text => String(text).replace(/[&<>]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;"}[c]));

function choice(parent, name, options, change, start) {
  const label = document.createElement("label");
  label.textContent = name + " ";
  const select = document.createElement("select");
  select.id = parent + "-" + name;
  for (const [value, text] of options) select.add(new Option(text, value));
  if (start !== undefined) select.value = start;
  select.addEventListener("change", change);
  label.append(select);
  document.getElementById(parent).append(label);
  return select;
}

const style = method => data.methods[method] || {label: method, colour: "#555555"};

// latents
function latents() {
  const {runs, questions, points} = data.latents;
  if (!runs.length) { document.getElementById("latents").remove(); return; }
  const about = Object.fromEntries(runs.map(one => [one.run, one]));
  const group = run => { const one = about[run]; return `${one.task}/${one.backbone}/${one.trainable}/seed${one.seed}`; };
  const all = ["", "all"];
  const steps = unique(points.step).sort((a, b) => a - b);
  const draw = () => {
    const [g, m, s, p, c] = [seed, method, step, place, colour].map(one => one.value);
    const [x, y, z] = points.xyz[p];
    const traces = {};
    points.run.forEach((run, i) => {
      const one = about[run];
      if (group(run) !== g || (m && one.method !== m) || (s && points.step[i] !== Number(s)) || x[i] === null) return;
      const key = c === "method" ? one.method : c === "latent" ? points.step[i] : points.role[i];
      const t = traces[key] ||= {x: [], y: [], z: [], text: [], key};
      t.x.push(x[i]); t.y.push(y[i]); t.z.push(z[i]);
      const q = questions[points.question[i]];
      t.text.push([`<b>${escaped(q.text)}</b>`, `steps ${escaped(q.steps)}; answer ${escaped(q.answer)}`,
        `${escaped(style(one.method).label)}, latent ${points.step[i]}, before ${escaped(points.before[i])}`,
        ...points.notes[i].map(escaped)].join("<br>"));
    });
    const names = Object.keys(traces).sort((a, b) => a - b || (a < b ? -1 : 1));
    const shown = names.map((name, i) => ({
      type: "scatter3d", mode: "markers", hoverinfo: "text", ...traces[name],
      name: c === "method" ? style(name).label : c === "latent" ? `latent ${name}` : `before ${name}`,
      marker: {size: 2.6, opacity: .75, ...(c === "method" ? {color: style(name).colour} : {color: palette[i % palette.length]})},
    }));
    const axis = title => ({title: {text: title}, showspikes: false, backgroundcolor: "#fafafa", gridcolor: "#e6e6e6"});
    Plotly.react("scatter", shown, {
      scene: {xaxis: axis("PC1"), yaxis: axis("PC2"), zaxis: axis("PC3"), aspectmode: "cube"},
      margin: {l: 0, r: 0, t: 0, b: 0}, legend: {itemsizing: "constant"}, uirevision: g + p,
      hoverlabel: {align: "left", bgcolor: "#fff", font: {color: "#222", size: 12}},
    }, config);
    const count = shown.reduce((sum, one) => sum + one.x.length, 0);
    const share = points.explained[p][g];
    document.getElementById("scatter-note").textContent =
      `${count} latents; three components hold ${Math.round(100 * share)} % of the variance`;
  };
  const groups = unique(points.run.map(group));
  const seed = choice("latent-choices", "seed", groups.map(one => [one, one]), draw);
  const method = choice("latent-choices", "method",
    [all, ...unique(runs.map(one => one.method)).map(one => [one, style(one).label])], draw);
  const step = choice("latent-choices", "step", [all, ...steps.map(one => [one, `latent ${one}`])], draw);
  const place = choice("latent-choices", "layer", Object.keys(points.xyz).map(one => [one, one]), draw);
  const colour = choice("latent-choices", "colour",
    [["method", "method"], ["latent", "latent"], ["role", "what it precedes"]], draw);
  draw();
}
const palette = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f"];

// effects
function effects() {
  if (!data.effects.length) { document.getElementById("effects").remove(); return; }
  const kinds = ["swap", "mean", "other", "zeros", "noise", "remove", "add"];
  const traces = [];
  for (const method of unique(data.effects.map(one => one.method))) for (const kind of kinds) {
    const rows = data.effects.filter(one => one.method === method && one.intervention === kind);
    if (!rows.length) continue;
    const at = (key, base) => rows.map(one => Math.max(0, base * (one[key] - one.accuracy_change)));
    traces.push({
      name: `${style(method).label}: ${kind}`, mode: "markers", x: rows.map(one => one.latent_index),
      y: rows.map(one => one.accuracy), visible: ["swap", "mean"].includes(kind) ? true : "legendonly",
      marker: {color: style(method).colour, symbol: ["diamond", "circle", "square", "triangle-down", "triangle-up", "x", "cross"][kinds.indexOf(kind)], size: 8},
      error_y: {type: "data", symmetric: false, array: at("change_high", 1), arrayminus: at("change_low", -1), thickness: 1},
      hoverinfo: "text", text: rows.map(one => [`<b>${escaped(style(method).label)}, ${kind}, latent ${one.latent_index}</b>`,
        `accuracy ${one.accuracy.toFixed(3)} (${one.accuracy_before.toFixed(3)} before), ${one.n} questions, seeds: ${one.seeds}`,
        one.donor_share === null ? "" : `follows step ${one.target} of the other: ${one.donor_share.toFixed(3)}`].filter(Boolean).join("<br>")),
    });
  }
  Plotly.newPlot("effect-plot", traces, {
    xaxis: {title: {text: "latent"}, dtick: 1}, yaxis: {title: {text: "accuracy"}, range: [-.03, 1.05]},
    margin: {l: 55, r: 10, t: 10, b: 45}}, config);
}

// curves
function curves() {
  if (!data.curves.length) { document.getElementById("curves").remove(); return; }
  const named = key => unique(data.curves.map(one => one[key])).map(one => [one, key === "method" ? style(one).label : one]);
  const draw = () => {
    const shown = data.curves.filter(one => (!method.value || one.method === method.value) && (!backbone.value || one.backbone === backbone.value));
    Plotly.react("curve-plot", shown.map((one, i) => ({
      x: one.step, y: one.accuracy, mode: "lines+markers", marker: {size: 4},
      name: `${style(one.method).label}, ${one.backbone}, ${one.trainable}, seed ${one.seed}`,
      line: {width: 1.6, color: palette[i % palette.length]},
      hovertemplate: "update %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
    })), {xaxis: {title: {text: "update"}}, yaxis: {title: {text: "accuracy"}, range: [-.03, 1.05]},
      margin: {l: 55, r: 10, t: 10, b: 45}}, config);
    const box = document.getElementById("stages");
    box.replaceChildren();
    for (const one of shown.slice(0, 12)) {
      const line = document.createElement("div");
      line.append(`${style(one.method).label}, ${one.backbone}, ${one.trainable}, seed ${one.seed}: `);
      for (const stage of one.stages) {
        const button = document.createElement("button");
        button.textContent = `${stage.name} (${stage.first_step} to ${stage.last_step})`;
        button.addEventListener("click", () => Plotly.relayout("curve-plot", {"xaxis.range": [stage.first_step, stage.last_step]}));
        line.append(button);
      }
      box.append(line);
    }
  };
  const method = choice("curve-choices", "method", [["", "all"], ...named("method")], draw);
  const backbone = choice("curve-choices", "backbone", [["", "all"], ...named("backbone")], draw);
  draw();
}

// activity
function surfaces() {
  if (!data.surfaces.length) { document.getElementById("activity").remove(); return; }
  const draw = () => {
    const one = data.surfaces[Number(which.value)];
    const bound = Math.max(...data.surfaces.map(s => Math.max(...s.scores.flat().map(Math.abs))));
    const z = one.scores.map((row, i) => row.map((score, j) => hidden.value === "no" || one.readable[i][j] ? score : null));
    const text = one.scores.map((row, i) => row.map((score, j) =>
      `layer ${one.layers[i]}, token ${j + 1}: ${escaped(one.tokens[j])}<br>score ${score}${one.readable[i][j] ? "" : " (no evidence)"}`));
    Plotly.react("surface", [{type: "surface", x: one.tokens.map((_, j) => j + 1), y: one.layers, z, text, hoverinfo: "text",
      colorscale: "RdBu", cmin: -bound, cmax: bound, colorbar: {title: {text: "score"}, len: .7}}], {
      scene: {xaxis: {title: {text: ""}, tickvals: one.tokens.map((_, j) => j + 1), ticktext: one.tokens, tickfont: {size: 9}},
        yaxis: {title: {text: "layer"}}, zaxis: {title: {text: "score"}, range: [-bound, bound]}, aspectratio: {x: 1.7, y: 1, z: .7}},
      margin: {l: 0, r: 0, t: 0, b: 0}, uirevision: "surface"}, config);
  };
  const which = choice("surface-choices", "response", data.surfaces.map((one, i) => [i, one.name]), draw);
  const hidden = choice("surface-choices", "cells", [["yes", "with evidence only"], ["no", "all"]], draw);
  draw();
}

// provenance
function records() {
  const box = document.getElementById("records");
  for (const one of data.records) {
    const item = document.createElement("details");
    item.id = `record-${one.group}-${one.name}`;
    const head = document.createElement("summary");
    head.textContent = `${one.group}/${one.name}`;
    const file = document.createElement("a");
    file.href = `${one.group}/${one.name}.${one.group === "figures" ? "png" : "csv"}`;
    file.textContent = "open the file";
    const caption = document.createElement("p");
    caption.textContent = one.caption;
    const text = document.createElement("pre");
    text.textContent = JSON.stringify({...one.record, finished: one.finished}, null, 1);
    item.append(head, file, caption, text);
    box.append(item);
  }
}

latents(); effects(); curves(); surfaces(); records();
