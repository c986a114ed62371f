/** Version of the whole product; the same in every package. */
export const VERSION = '0.1.0';
