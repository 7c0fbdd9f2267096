// Addresses for a table. Those of peers on a DHT are public keys, and whole ones leave no room for
// anything else; --json has them.

const LONG_KEY = /([0-9a-f]{8})[0-9a-f]{56}/

/** `hyperswarm://78da5bb0…`; any other address as it is. */
export const shortAddress = (address: string): string => address.replace(LONG_KEY, '$1…')
