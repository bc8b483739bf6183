// A question with two answers, as a modal dialog: focus stays inside, Escape is no.
import { h } from './dom.js';

/**
 * Asks, and resolves with true for yes; with `typed` there is a yes only once that text is typed.
 * @param {{title: string, text: string, yes: string, no?: string, danger?: boolean,
 *   typed?: {label: string, text: string}}} question
 */
export function ask({ title, text, yes, no = 'Cancel', danger = false, typed = undefined }) {
  return new Promise((resolve) => {
    const agree = h(
      'button',
      { type: 'button', class: danger ? 'button danger' : 'button primary', disabled: Boolean(typed), test: 'ask-yes', onclick: () => dialog.close('yes') },
      yes,
    );
    const check = ({ target }) => (agree.disabled = target.value.trim() !== typed.text.trim());
    const dialog = h(
      'dialog',
      { class: 'ask', 'aria-labelledby': 'ask-title', test: 'ask' },
      h('h2', { id: 'ask-title' }, title),
      h('p', {}, text),
      typed && h(
        'div',
        { class: 'field' },
        h('label', { for: 'ask-typed' }, typed.label),
        h('input', { id: 'ask-typed', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', test: 'ask-typed', oninput: check }),
      ),
      h(
        'div',
        { class: 'row end' },
        h('button', { type: 'button', class: 'button', onclick: () => dialog.close('no') }, no),
        agree,
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
