// Of Node, the client needs this alone.
declare const process: { argv: string[] };
