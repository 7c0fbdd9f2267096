#!/usr/bin/env node
// Where the `skein` command begins. Types are stripped and code is compiled once, not at every start:
// with Node.js's cache on disk a verb is up in half the time, and `skein up` starts five of them.
import { enableCompileCache } from 'node:module'

// Where it cannot be written (a read-only container) nothing is cached, and nothing else changes.
enableCompileCache()
await import('./main.ts')
