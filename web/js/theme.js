/** Dark or light: as the system is, or as somebody chose. */

import { forget, recall, remember } from './storage.js';

const KEPT = 'theme';

/** @returns {'system'|'dark'|'light'} */
export const theme = () => recall(KEPT, 'system');

/** @param {'system'|'dark'|'light'} wanted */
export function setTheme(wanted) {
  if (wanted === 'system') forget(KEPT);
  else remember(KEPT, wanted);
  applyTheme();
}

export function applyTheme() {
  const chosen = theme();
  if (chosen === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}
