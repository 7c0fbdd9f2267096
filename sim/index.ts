// The surface of sim/: simulated fleets, and recordings played back.

export { createFleet, FLEET_SCHEMA, FLEET_STREAM } from './fleet.ts'
export type { Fleet } from './fleet.ts'
export { FleetRun } from './fleet-run.ts'
export type { FleetCounts } from './fleet-run.ts'
export { SIM_ERROR_CODES, SimError } from './errors.ts'
export { CsvReader } from './replay/csv.ts'
export { loadMapping, parseMapping } from './replay/mapping.ts'
export type { Mapping } from './replay/mapping.ts'
export { mappingPath } from './replay/mappings.ts'
export { replayFile } from './replay/replay.ts'
export type { Replay, ReplayFrame } from './replay/replay.ts'
export type { RowRefusal } from './replay/rows.ts'
