// Which mesh a process with this configuration belongs to.
import { meshIdentity, type MeshIdentity } from '../mesh/index.ts'
import type { Config } from './config/config.ts'

export function identityOf({ mesh }: Pick<Config, 'mesh'>): MeshIdentity {
  return meshIdentity(mesh.name, mesh.replicas, mesh.writeQuorum, mesh.key)
}
