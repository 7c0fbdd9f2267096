// Why something did not come to pass, from whoever no longer tries.

/** What a transport says while it tries for ever. */
const TRYING = /; trying again$/

/** The trouble as one that has ended the attempt. */
export const givenUp = (trouble: string): string => trouble.replace(TRYING, '')
