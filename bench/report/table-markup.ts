// A table of a report as HTML. Wide ones scroll inside the page, with their first column in place.
import { cellText, isFigures } from './figure.ts'
import { html, type Markup } from './markup.ts'
import type { Cell, Table } from './report.ts'
import { looks, systemIndex } from './series-look.ts'

export function tableMarkup(table: Table): Markup {
  const { columns, rows } = table
  const sides = columns.map((_, index) => (isFigures(table, index) ? 'figure' : 'name'))
  const system = columns.findIndex(({ name }) => name === 'system')
  const names = system < 0 ? sides.indexOf('name') : system
  const head = columns.map(
    ({ name, unit }, index) =>
      html`<th scope="col" class="${sides[index]}">${name}${unitMarkup(unit)}</th>`,
  )
  const cell = (value: Cell, index: number): Markup => {
    const content = index === names ? nameMarkup(cellText(value)) : html`${cellText(value)}`
    return index === 0
      ? html`<th scope="row" class="${sides[index]}">${content}</th>`
      : html`<td class="${sides[index]}">${content}</td>`
  }
  const body = rows.map(
    (row) =>
      html`<tr>
        ${columns.map((_, index) => cell(row[index], index))}
      </tr>`,
  )
  return html`<div class="scroll" tabindex="0">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`
}

function unitMarkup(unit: string | undefined): Markup | undefined {
  return unit === undefined ? undefined : html` <span class="unit">${unit}</span>`
}

/** A system's name has the colour that it has in the plots. */
function nameMarkup(name: string): Markup {
  if (systemIndex(name) === undefined) return html`${name}`
  const { colour } = looks([name]).get(name)!
  return html`<span class="swatched"
    ><span class="swatch" style="background: ${colour}"></span>${name}</span
  >`
}
