// What a person can do about an answer that is none.
import type { Problem } from "../api/documents";

export interface Advice {
  title: string;
  text: string;
}

export function advice_for(problem: Problem, what: string, url: string): Advice {
  switch (problem.status) {
    case 0:
      return { title: "The gateway does not answer", text: `${what} could not be read from ${url}. The page tries again by itself.` };
    case 401:
      return { title: "The gateway asks for credentials", text: `${what} may be read by those who sign in only. Reload the page to be asked for a name and a password.` };
    case 403:
      return { title: "You may not see this", text: `The gateway does not let this browser read ${url}. Who may is said in nginx's configuration, in the location of rollout_api.` };
    case 404:
      return { title: "There is nothing here", text: problem.detail };
    case 429:
      return { title: "Too many requests", text: `The gateway limits how often ${url} may be read. The page tries again by itself, less often.` };
    case 503:
      return { title: "rolloutd does not answer", text: `${problem.detail} Clients' requests go on to the models as before.` };
    default:
      return { title: problem.title || `Status ${problem.status}`, text: problem.detail };
  }
}

/// The API itself is not where the page looks for it.
export function no_api(url: string): Advice {
  return {
    title: "There is no API here",
    text: `The page asks for ${url}, and nginx has no such location. If the API is elsewhere, name what stands before its routes: rollout_page api=/path.`,
  };
}
