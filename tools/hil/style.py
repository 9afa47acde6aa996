"""The style sheet of the bench's page: light and dark, wide and narrow, screen and paper."""

CSS = """
:root{--paper:#fff;--ink:#1c1e21;--soft:#5a6068;--rule:#d9dde2;--tint:#f4f6f8;
--good:#009e73;--bad:#d55e00;--line:#0072b2;--box:#56b4e9;--link:#005a8f;--warn:#e69f00}
@media (prefers-color-scheme:dark){:root{--paper:#15181b;--ink:#e8eaed;--soft:#a3abb5;
--rule:#343a41;--tint:#1e2327;--line:#56b4e9;--box:#0072b2;--link:#8ecdf5}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:70rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}
h1,h2,h3,p,ul,dl,figure{margin:0}
h1{font-size:2rem;line-height:1.2}
h1 i,.badge i{font-style:normal}
h2{font-size:1.25rem;margin:2.25rem 0 .6rem}
h3{font-size:1rem;margin:1rem 0 .35rem}
a{color:var(--link);text-underline-offset:.15em}
code,pre{font-family:ui-monospace,"SF Mono",Consolas,"DejaVu Sans Mono",monospace;font-size:.85em}
code{overflow-wrap:anywhere}
.muted,small{color:var(--soft)}
.muted{font-size:.875rem}
header{border-left:.5rem solid var(--rule);padding:.1rem 0 .1rem 1rem}
header.failed{border-color:var(--bad)}header.passed{border-color:var(--good)}
.kicker{color:var(--soft);font-size:.875rem}
.counts{font-weight:600;margin:.5rem 0}
.bar{display:inline-flex;width:10rem;height:.75rem;margin-right:.5rem;gap:2px;vertical-align:-.05em}
.bar span{min-width:3px;flex-basis:0}
.bar .passed{background:var(--good)}.bar .failed{background:var(--bad)}
.bar .skipped{background:repeating-linear-gradient(45deg,var(--soft) 0 2px,transparent 2px 5px)}
.note{background:var(--tint);border-left:.25rem solid var(--line);padding:.5rem .75rem;
margin:.75rem 0}
.note.warn{border-color:var(--warn)}
.badge{display:inline-block;padding:0 .5rem;border-radius:.75rem;border:1px solid var(--soft);
font-size:.8125rem;line-height:1.4rem;white-space:nowrap;color:var(--ink)}
.badge.passed,.badge.better{background:var(--good);border-color:var(--good);color:#000}
.badge.failed,.badge.worse{background:var(--bad);border-color:var(--bad);color:#000}
.families{list-style:none;padding:0;display:grid;gap:.15rem 1.5rem;
grid-template-columns:repeat(auto-fill,minmax(22rem,1fr))}
.families li{display:flex;align-items:center}
.families a{display:inline-block;width:6rem}.families .bar{width:6rem}
.id{display:block}
.failures{padding-left:1.1rem}.failures li{margin:.4rem 0}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-size:.8125rem;font-weight:600;color:var(--soft);white-space:nowrap}
th,td{padding:.4rem .75rem .4rem 0;vertical-align:top}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
thead th{border-bottom:2px solid var(--rule)}
.tests tbody,.changes tr{border-bottom:1px solid var(--rule)}
.changes{table-layout:fixed}.changes th{width:15%}.changes th:first-child{width:35%}
.changes th:last-child{width:20%}
.tests{table-layout:fixed}.tests th:first-child{width:6.5rem}
.tests th:nth-child(3){width:6.5rem}.tests th:nth-child(4){width:8.5rem}
.tests th:nth-child(5){width:7.5rem}.tests th:nth-child(6){width:13rem}
.tests tr>:nth-child(6){padding-left:1.25rem}
table+p{margin-top:.75rem}
.tests td.detail{padding:0 0 .75rem 6.5rem}
.tests tbody:target{outline:2px solid var(--line);outline-offset:2px}
pre{background:var(--tint);border-left:.25rem solid var(--bad);margin:.25rem 0 .5rem;
padding:.6rem .75rem;overflow-x:auto;line-height:1.4}
.figure{display:grid;grid-template-columns:minmax(8rem,1fr) minmax(10rem,1.4fr) 22rem;
gap:.25rem 1.25rem;padding:.5rem 0;align-items:start}
.figure+.figure{border-top:1px dashed var(--rule)}
.stats{display:grid;grid-template-columns:repeat(4,1fr);gap:.25rem .5rem}
.stats span{white-space:nowrap;font-variant-numeric:tabular-nums}
.stats small{display:block;font-size:.75rem;line-height:1.4;margin-bottom:.15rem}
.stats i{font-style:normal;border-bottom:2px dashed var(--bad)}
.stats .past{font-weight:700}.stats .past small{color:var(--ink)}
.base{grid-column:1/-1;font-size:.875rem}
svg{display:block;overflow:visible}
svg path{fill:none;vector-effect:non-scaling-stroke;stroke-width:1px}
.strip svg{width:100%;height:31px}
.axis{stroke:var(--soft)}
.whisker{stroke:var(--soft)}
svg .box{fill:var(--box);fill-opacity:.25;stroke:var(--box)}
svg .median{stroke:var(--ink);stroke-width:2px}
svg .dots{stroke:var(--line);stroke-width:4px;stroke-linecap:round;stroke-opacity:.75}
svg .only{stroke-width:7px;stroke-opacity:1}
svg .limit{stroke:var(--bad);stroke-width:2px;stroke-dasharray:4 3}
.scale{display:flex;justify-content:space-between;font-size:.75rem;color:var(--soft);line-height:1.3}
.series{margin:.75rem 0 .25rem}
.plot{display:grid;grid-template-columns:3.2rem 1fr 2.6rem;grid-template-rows:1.4rem 9rem 1.4rem;
font-size:.75rem;color:var(--soft);margin-top:.25rem}
.plot svg{width:100%;height:100%;border:solid var(--soft);
border-width:0 0 1px 1px}
.levels,.times{position:relative}.levels,.plot svg{grid-row:2}
.levels span{position:absolute;right:.4rem;transform:translateY(-50%)}
.times{grid-column:2;grid-row:3}
.times span{position:absolute;top:.2rem;transform:translateX(-50%)}
.level-unit{grid-row:1;text-align:right;padding-right:.4rem}
.time-unit{grid-row:3;grid-column:3;padding:.2rem 0 0 1rem}
svg .grid{stroke:var(--rule)}
svg .line{stroke:var(--line);stroke-width:1.5px;stroke-linejoin:round}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.25rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media screen and (max-width:56rem){
main{padding:1rem .9rem 2rem}h1{font-size:1.6rem}
table,tbody,tr,td{display:block}thead{display:none}
.tests tbody,.changes tr{padding:.6rem 0}
td{padding:.1rem 0}
.changes{table-layout:fixed}.changes th{width:15%}.changes th:first-child{width:35%}
.changes th:last-child{width:20%}
.tests tr>td{padding-left:0}
.changes td{display:inline-block;margin-right:.75rem}.changes td:first-child{display:block}
.counts .bar{display:flex;width:100%}
.tests td.detail{padding:.3rem 0 0}
.num{text-align:left;display:inline-block;margin-right:1rem}
td[data-name]::before{content:attr(data-name) " ";color:var(--soft);font-size:.8125rem}
td:empty{display:none}
.figure{grid-template-columns:1fr}
dl{grid-template-columns:1fr}dt{margin-top:.4rem}
}
@media print{
:root{--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--tint:#f4f4f4;--line:#0072b2;--box:#56b4e9;
--link:#000}
html{font-size:11px}main{max-width:none;padding:0}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.tests tbody,.figure,.series,tr{break-inside:avoid}h2,h3{break-after:avoid}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
a{text-decoration:none}
}
"""
