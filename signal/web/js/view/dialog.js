// A question with two answers, as a modal dialog: focus stays inside, Escape is no.
import { h } from './dom.js';

/**
 * Asks, and resolves with true for yes.
 * @param {{title: string, text: string, yes: string, no?: string, danger?: boolean}} question
 */
export function ask({ title, text, yes, no = 'Cancel', danger = false }) {
  return new Promise((resolve) => {
    const dialog = h(
      'dialog',
      { class: 'ask', 'aria-labelledby': 'ask-title', test: 'ask' },
      h('h2', { id: 'ask-title' }, title),
      h('p', {}, text),
      h(
        'div',
        { class: 'row end' },
        h('button', { type: 'button', class: 'button', onclick: () => dialog.close('no') }, no),
        h('button', { type: 'button', class: danger ? 'button danger' : 'button primary', test: 'ask-yes', onclick: () => dialog.close('yes') }, yes),
      ),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
