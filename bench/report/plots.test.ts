import { describe, expect, it } from 'vitest'
import { drawPlot, NARROW, WIDE } from './plots.ts'
import type { Plot } from './report.ts'

const LINES: Plot = {
  title: 'p50 against offered rate',
  kind: 'lines',
  x: { label: 'offered', unit: 'samples/s', scale: 'log' },
  y: { label: 'live latency', unit: 'ms', scale: 'log' },
  series: [
    { name: 'skein latency', points: points(1) },
    { name: 'kafka latency', points: points(8) },
    { name: 'kafka default', points: points(12) },
    { name: 'nats-core', points: points(2) },
    { name: '<b>Tom & "Jerry"</b>', points: points(3) },
  ],
}

const BARS: Plot = {
  title: 'CPU',
  kind: 'bars',
  x: { label: 'offered' },
  y: { label: 'CPU', unit: 's/million' },
  series: [
    { name: 'skein', points: [{ x: '1,000/s', y: 2.345, low: 2, high: 3 }] },
    { name: 'nats', points: [{ x: '1,000/s', y: 62.4, isHollow: true }] },
  ],
}

function points(factor: number) {
  return [1_000, 5_000, 20_000].map((x) => ({ x, y: (factor * x) / 1_000 }))
}

/** Throws at the first tag that is not closed as XML wants it, and at text that is not escaped. */
function textsOf(svg: string): string[] {
  const open: string[] = []
  const texts: string[] = []
  let rest = svg
  while (rest !== '') {
    const [all, text, slash, name, empty] =
      /^([^<]*)<(\/?)([\w:-]+)(?:\s[\w:-]+="[^"<]*")*\s*(\/?)>/.exec(rest) ?? []
    if (all === undefined) throw new Error(`no XML: ${rest.slice(0, 200)}`)
    if (/&(?!(?:amp|lt|gt|quot|#\d+);)/.test(all)) throw new Error(`not escaped: ${all}`)
    texts.push(text!)
    if (slash === '/' && open.pop() !== name) throw new Error(`not closed before ${all}`)
    if (slash === '' && empty === '') open.push(name!)
    rest = rest.slice(all.length)
  }
  expect(open).toEqual([])
  return texts
}

const colours = (svg: string): Set<string> => new Set(svg.match(/var\(--series-\d\)/g))

describe('drawPlot', () => {
  it.each([
    ['lines, wide', LINES, WIDE],
    ['lines, narrow', LINES, NARROW],
    ['bars, wide', BARS, WIDE],
    ['bars, narrow', BARS, NARROW],
    ['bars on a logarithmic axis', { ...BARS, y: { ...BARS.y, scale: 'log' as const } }, WIDE],
  ])('%s - is SVG that names every series and unit', (_, plot, width) => {
    const svg = drawPlot(plot, width)
    const texts = textsOf(svg).join('\n')
    expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/)
    expect(svg).toContain(`viewBox="0 0 ${width} `)
    expect(svg).toContain(`aria-label="${plot.title}"`)
    expect(texts).toContain(plot.y.unit)
    if (plot.x.unit !== undefined) expect(texts).toContain(plot.x.unit)
    for (const { name } of plot.series) {
      const escaped = name.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
      expect(texts).toContain(escaped)
    }
  })

  it('a system - has one colour, and its second series other dashes', () => {
    const svg = drawPlot(LINES)
    expect(colours(svg)).toEqual(
      new Set(['1', '2', '4', '7'].map((number) => `var(--series-${number})`)),
    )
    expect(svg).toMatch(
      /<g [^>]*stroke="var\(--series-2\)"[^>]*stroke-dasharray="6 4"|<g [^>]*stroke-dasharray="6 4"[^>]*stroke="var\(--series-2\)"/,
    )
  })

  it('names of other plots - keep the dashes of this one', () => {
    const second = { ...LINES, series: [LINES.series[2]!] }
    const names = LINES.series.map(({ name }) => name)
    expect(drawPlot(second)).not.toContain('stroke-dasharray="6 4"')
    expect(drawPlot(second, WIDE, names)).toContain('stroke-dasharray="6 4"')
  })

  it('bars of one series whose names are systems - have their colours', () => {
    const series = [
      {
        name: 'CPU',
        points: ['skein', 'kafka', 'zeromq-raw'].map((x, index) => ({ x, y: index })),
      },
    ]
    expect(colours(drawPlot({ ...BARS, series }))).toEqual(
      new Set(['1', '2', '6'].map((number) => `var(--series-${number})`)),
    )
  })

  it('hollow points and intervals - are explained where there are any', () => {
    const plain = drawPlot(LINES)
    expect(plain).not.toContain('interval')
    expect(plain).not.toContain('not sustained')
    const series = [{ name: 'skein', points: [{ x: 1, y: 2, low: 1, high: 3, isHollow: true }] }]
    const text = drawPlot({ ...LINES, series })
    expect(text).toContain('range over blocks')
    expect(text).toContain('not sustained')
    expect(drawPlot(BARS)).toContain('not sustained')
  })

  it('figures that a result file made null, and zeros on a logarithmic axis - are left out', () => {
    const gone = [
      { x: 1, y: 0 },
      { x: 2, y: Number.NaN },
      { x: 3, y: null as never },
    ]
    const some = drawPlot({
      ...LINES,
      series: [{ name: 'skein', points: [...gone, { x: 4, y: 5 }] }],
    })
    const none = drawPlot({ ...LINES, series: [{ name: 'skein', points: gone }] })
    expect(some).not.toMatch(/NaN|undefined/)
    expect(none).toContain('no figures')
    expect(drawPlot({ ...BARS, series: [] })).toContain('no figures')
  })

  it('a name that is too long for the picture - is cut', () => {
    const long = 'skein throughput, 2 copies, one sample a message, not compressed, on five stores'
    const series = [{ name: long, points: points(1) }]
    const texts = textsOf(drawPlot({ ...LINES, series }, NARROW))
    expect(texts.some((text) => text.startsWith('skein') && text.endsWith('…'))).toBe(true)
  })
})
