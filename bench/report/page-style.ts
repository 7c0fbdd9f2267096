// The look of the page. Colours of series after Okabe and Ito, darker on light ground and lighter on dark
// so that each has a contrast of 3 or more; raw transports, which others are measured by, are grey.
export const PAGE_STYLE = `
:root {
  --ground: #ffffff;
  --panel: #f6f7f8;
  --ink: #1a1c1f;
  --muted: #5c636b;
  --grid: #e6e8ea;
  --edge: #d3d7db;
  --alert: #fff4e0;
  --alert-edge: #d58a00;
  --series-1: #0072b2;
  --series-2: #d55e00;
  --series-3: #009e73;
  --series-4: #3f9bd8;
  --series-5: #c2659c;
  --series-6: #6e6e6e;
  --series-7: #1a1c1f;
  --series-8: #6b5600;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #15171a;
    --panel: #1d2024;
    --ink: #e8eaed;
    --muted: #a0a7af;
    --grid: #2b2f34;
    --edge: #3a3f45;
    --alert: #33290f;
    --alert-edge: #e0a030;
    --series-1: #4da6e8;
    --series-2: #f0803c;
    --series-3: #2fbf95;
    --series-4: #a5dcff;
    --series-5: #e79ac8;
    --series-6: #8e8e8e;
    --series-7: #f0f0f0;
    --series-8: #f0dc82;
  }
}
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body {
  margin: 0;
  background: var(--ground);
  color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1200px; margin: 0 auto; padding: 72px 40px 96px; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; }
h1 { margin: 0; font-size: 40px; font-weight: 650; letter-spacing: -0.02em; }
h2 { margin: 0 0 8px; font-size: 23px; font-weight: 650; letter-spacing: -0.01em; }
h3 { margin: 32px 0 8px; font-size: 15px; font-weight: 650; }
p { margin: 0 0 16px; max-width: 68ch; }
section { margin-top: 72px; }
.eyebrow { margin-bottom: 12px; color: var(--muted); font-size: 14px; }
.question { margin: 16px 0 20px; font-size: 20px; line-height: 1.45; text-wrap: pretty; }
.facts-line, .caption { color: var(--muted); font-size: 14px; max-width: none; }
.caption { margin: 12px 0 0; }
.finding { text-wrap: pretty; }
.notice {
  max-width: none;
  margin: 32px 0 0;
  padding: 12px 16px;
  background: var(--alert);
  border-left: 4px solid var(--alert-edge);
}

figure { margin: 28px 0 0; min-width: 0; max-width: 1000px; }
figcaption { margin-bottom: 12px; font-size: 15px; font-weight: 650; }
svg.plot { display: block; width: 100%; height: auto; overflow: visible; }
.narrow { display: none; }
@media screen {
  /* Names stay while the figures scroll. */
  .scroll :is(th, td):first-child { position: sticky; left: 0; background: var(--ground); }
  /* Two or more stand beside each other. */
  .plots:has(figure + figure) { display: grid; grid-template-columns: 1fr 1fr; column-gap: 40px; }
  /* Legends differ in height, plots do not: they stand on one line. */
  .plots:has(figure + figure) .lines { display: flex; flex-direction: column; justify-content: space-between; }
  .plots:has(figure + figure) .wide { display: none; }
  .plots:has(figure + figure) .narrow { display: block; }
}

.scroll { margin-top: 24px; overflow-x: auto; }
table { border-collapse: collapse; min-width: 100%; font-size: 14px; line-height: 1.4; }
th, td { padding: 7px 0 7px 20px; text-align: left; vertical-align: baseline; font-weight: 400; }
th:first-child, td:first-child { padding-left: 0; }
thead th { padding-top: 0; border-bottom: 1px solid var(--edge); vertical-align: bottom; font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid var(--grid); }
tbody th.name, td.name:has(.swatched) { min-width: 8.5em; }
td.name:last-child { min-width: 8.5em; }
.figure { text-align: right; white-space: nowrap; }
.unit { display: block; color: var(--muted); font-weight: 400; }
.key table { font-size: 17px; }
.key thead th { font-size: 14px; }
.key td, .key tbody th { padding-top: 10px; padding-bottom: 10px; }
/* A name that needs two lines goes on beside its swatch, not below it. */
.swatched { display: block; padding-left: 20px; text-indent: -20px; white-space: nowrap; }
.swatch { display: inline-block; width: 10px; height: 10px; margin-right: 10px; border-radius: 50%; }

.facts { display: grid; grid-template-columns: 3fr 2fr; column-gap: 40px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 24px; margin: 0; font-size: 14px; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 20px; font-size: 14px; }
pre {
  margin: 0 0 16px;
  padding: 12px 16px;
  white-space: pre-wrap;
  overflow-wrap: anywhere;
  background: var(--panel);
  border-radius: 6px;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
details { margin-top: 12px; border-top: 1px solid var(--grid); padding-top: 12px; }
.facts + details { margin-top: 32px; }
summary { cursor: pointer; font-size: 15px; font-weight: 600; }
details pre { margin-top: 12px; }

@media screen and (max-width: 760px) {
  main { padding: 40px 20px 64px; }
  h1 { font-size: 30px; }
  h2 { font-size: 20px; }
  .question { font-size: 18px; }
  section { margin-top: 56px; }
  .plots:has(figure + figure), .facts { display: block; }
  .wide { display: none; }
  .narrow { display: block; }
  th, td { padding-left: 18px; }
  .swatched { white-space: normal; }
  .key table { font-size: 15px; }
}

@media print {
  @page { margin: 16mm; }
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  section { margin-top: 28pt; }
  h2, h3, figcaption, .finding { break-after: avoid; }
  figure, tr, pre { break-inside: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding-left: 8pt; }
  .figure { white-space: normal; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
`
