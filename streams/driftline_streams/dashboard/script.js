// What Python cannot be. `lines` is what tooltips are made of: it escapes, since signals are users' data.
window.driftline = {
  escape: (text) => String(text).replace(/[&<>"']/g, (c) => '&#' + c.charCodeAt(0) + ';'),
  lines: (list) => (list || []).map((line, i) => i ? driftline.escape(line) : '<b>' + driftline.escape(line) + '</b>').join('<br>'),
  dark: () => document.body.classList.contains('body--dark'),
  remember: (theme) => { document.cookie = 'driftline-theme=' + theme + '; path=/; max-age=31536000; samesite=strict'; },
};
addEventListener('DOMContentLoaded', () => {
  let dark = driftline.dark();
  new MutationObserver(() => {
    if (driftline.dark() !== dark && window.emitEvent) { dark = driftline.dark(); emitEvent('driftline-theme', {dark}); }
  }).observe(document.body, {attributes: true, attributeFilter: ['class']});
});
