// Loaded before a program (node --import): its clock is an hour ahead.
Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + 3_600_000 })
const now = Date.now.bind(Date)
Date.now = () => now() + 3_600_000
