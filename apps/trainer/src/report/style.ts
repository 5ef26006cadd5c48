/** @file The report's style: light and dark, a column on a phone, no font and no image from elsewhere. */

/** CSS. Series have their colors as variables: `fast`, `action`, `held` (held out), `muted`. */
export const STYLE: string = `
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1c2127;--soft:#5c6670;--line:#dfe3e8;--fast:#1f6fb2;--action:#c2571a;--held:#0d8a5f;--muted:#8a939d;--bad:#b3261e;--good:#0d8a5f}
@media(prefers-color-scheme:dark){:root{--page:#12151a;--card:#1b1f26;--ink:#e7eaee;--soft:#9aa5b1;--line:#2e353f;--fast:#5aa9e6;--action:#f0965a;--held:#4cc79a;--muted:#7d8894;--bad:#f2877f;--good:#4cc79a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
header{margin-bottom:24px}
h1{font-size:28px;line-height:1.2;margin:4px 0 2px;overflow-wrap:anywhere}
h1 small,h3 small{font-weight:400;color:var(--soft)}
h2{font-size:19px;margin:0 0 12px}
h3{font-size:15px;margin:20px 0 8px}
.sub,.note{color:var(--soft);margin:4px 0 12px}
.state{display:inline-block;margin:0;padding:2px 10px;border-radius:99px;font-size:13px;font-weight:600;border:1px solid var(--line);color:var(--soft)}
.state.finished{color:var(--good);border-color:var(--good)}
.state.running{color:var(--fast);border-color:var(--fast)}
.state.stopped{color:var(--bad);border-color:var(--bad)}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:0 0 20px;font-size:14px}
a{color:var(--fast);text-decoration:none}a:hover{text-decoration:underline}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px;margin:0 0 18px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:10px;margin-top:16px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile span,.tile em{display:block;font-size:12.5px;font-style:normal;color:var(--soft);line-height:1.35}
.tile b{display:block;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.35}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:18px 24px}
figure{margin:0}
.chart figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 12px;font-size:13.5px}
.chart svg,.panel svg{display:block;width:100%;height:auto}
.key{font-size:12.5px;color:var(--soft)}
.key span{display:inline-flex;align-items:center;margin-left:12px;white-space:nowrap}
.key i{width:14px;height:3px;border-radius:2px;margin-right:5px}
svg text{font-size:11px;fill:var(--soft);font-variant-numeric:tabular-nums}
svg path{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
svg path.faint{stroke-width:1;opacity:.32}
svg path.dots{stroke-width:1.2;opacity:.6}
svg path.dashed{stroke-width:1.5;stroke-dasharray:5 5}
svg path.wide{stroke-width:4;opacity:.55}
svg .grid{stroke:var(--line)}
svg .limit{stroke:var(--bad);stroke-dasharray:4 3}
.scroll{overflow-x:auto}
.tasks{list-style:none;margin:0;padding:0;columns:2 320px;column-gap:40px;font-size:13.5px}
.tasks li{display:flex;justify-content:space-between;gap:12px;padding:4px 0;border-bottom:1px solid var(--line);break-inside:avoid}
.tasks span{color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;font-size:13.5px;width:100%}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
tbody th{font-weight:500;white-space:nowrap}thead th{font-weight:600;color:var(--soft);white-space:nowrap;vertical-align:bottom}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.facts{width:auto}.facts td{overflow-wrap:anywhere}.facts th{color:var(--soft)}
tr.sum th,tr.sum td{font-weight:650;border-bottom:0}
.relative{white-space:nowrap}
.meter{display:inline-block;width:110px;height:8px;border-radius:4px;background:var(--line);overflow:hidden;vertical-align:1px;margin-right:6px}
.meter i{display:block;height:100%;background:var(--good)}.meter.over i{background:var(--bad)}
.warnings{margin:8px 0;padding:10px 14px 10px 30px;border-left:3px solid var(--action);background:color-mix(in srgb,var(--action) 9%,transparent);border-radius:0 6px 6px 0;font-size:13.5px;overflow-wrap:anywhere}
.good{color:var(--good)}.bad{color:var(--bad)}
details{margin-top:12px}summary{cursor:pointer;color:var(--fast);font-size:14px}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.prediction+.prediction{border-top:1px solid var(--line);margin-top:20px;padding-top:4px}
.prediction{display:grid;grid-template-columns:minmax(220px,34%) 1fr;gap:0 20px}
.prediction h3{grid-column:1/-1}
.views{display:grid;grid-template-columns:1fr 1fr;gap:8px;align-content:start}
.views img{display:block;width:100%;border-radius:6px}
.views figcaption,.panel figcaption{font-size:11.5px;color:var(--soft);overflow-wrap:anywhere}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:10px;align-content:start}
.panel{background:var(--page);border-radius:6px;padding:4px 6px}
.panel figcaption{line-height:1.35}.panel span{display:block}
@media(max-width:640px){main{padding:18px 12px 40px}section{padding:14px}h1{font-size:23px}.tiles{grid-template-columns:1fr 1fr}.tile{padding:10px 12px}.tile b{font-size:19px}.prediction{display:block}.views{margin-bottom:10px}.panels{grid-template-columns:1fr 1fr}}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
`;
