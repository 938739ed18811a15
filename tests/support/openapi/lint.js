// Checks an OpenAPI description with the linter of Redocly: its rules "recommended", all of them as errors.
//
// usage: node lint.js FILE
import { createConfig, formatProblems, getTotals, lint } from '@redocly/openapi-core';

const [file] = process.argv.slice(2);
const config = await createConfig({
  extends: ['recommended-strict'],
  rules: {
    'operation-4xx-response': 'error',
    // It does not see what x-events names; tests/integration/test_openapi.py does.
    'no-unused-components': 'off',
    // Who may ask is the operator's: by nginx's own directives in the location.
    'security-defined': 'off',
  },
});
const problems = await lint({ ref: file, config });
const totals = getTotals(problems);
formatProblems(problems, { format: 'codeframe', totals, version: '' });
process.exitCode = problems.length > 0 ? 1 : 0;
