/** Released weights in and out. */
export {};
