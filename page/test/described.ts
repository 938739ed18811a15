// The page's documents are those of the API's description, module/openapi.json: each function here compiles as long as they fit.
import type * as page from "../src/api/documents";
import type { components } from "./description";

type Described = components["schemas"];

export const task = (from: Described["Task"]): page.Task => from;
export const model = (from: Described["Model"]): page.Model => from;
export const series = (from: Described["Series"]): page.Series => from;
export const step = (from: Described["Step"]): page.Step => from;
export const gate = (from: Described["GateReport"]): page.Gate => from;
export const plan = (from: Described["Plan"]): page.Plan => from;
