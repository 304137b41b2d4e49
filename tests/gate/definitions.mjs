// asl-validator on state machines. A line of standard input has them by template and logical id; one answer a line.
import { createInterface } from "node:readline";
import validate from "asl-validator";

const known = new Map(); // it takes long for each: most are the same in every variant
function errors(definition) {
  const text = JSON.stringify(definition);
  if (!known.has(text)) known.set(text, validate(definition).errors);
  return known.get(text);
}

// Its pattern for an expression ends at the first line, though JSONata takes a line's end for any white space.
const inOneLine = (key, value) => (typeof value === "string" ? value.replaceAll("\n", " ") : value);

for await (const line of createInterface({ input: process.stdin })) {
  const start = performance.now();
  const findings = [];
  for (const [template, machines] of Object.entries(JSON.parse(line, inOneLine)))
    for (const [resource, definition] of Object.entries(machines))
      for (const error of errors(definition))
        findings.push({ template, resource, rule: error["Error code"], message: error.Message });
  console.log(JSON.stringify({ "asl-validator": { findings, seconds: (performance.now() - start) / 1000 } }));
}
