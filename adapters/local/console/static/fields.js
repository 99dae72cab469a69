// Fields for the properties of a JSON schema, and the request that they make.
import { make } from "./dom.js";

const resolve = (schema, root) => {
  const seen = new Set();
  let one = schema ?? {};
  while (one.$ref && !seen.has(one.$ref)) {
    seen.add(one.$ref);
    one = one.$ref.split("/").slice(1).reduce((at, key) => at?.[key], root) ?? {};
  }
  const kinds = (one.anyOf ?? one.oneOf ?? []).filter((each) => each.type !== "null");
  return kinds.length === 1 ? { ...resolve(kinds[0], root), ...("default" in one ? { default: one.default } : {}), optional: true } : one;
};

const sample = (schema, root, depth = 0) => {
  const one = resolve(schema, root);
  if ("default" in one) return one.default;
  if (one.enum) return one.enum[0];
  if (depth > 5) return null;
  if (one.anyOf) return sample(one.anyOf[0], root, depth + 1);
  if (one.type === "object") return Object.fromEntries(Object.entries(one.properties ?? {}).map(([name, each]) => [name, sample(each, root, depth + 1)]));
  if (one.type === "array") return one.items ? [sample(one.items, root, depth + 1)] : [];
  return { string: "", boolean: false, number: 0, integer: 0 }[one.type] ?? null;
};

const isFile = (schema) => schema.format === "binary" || schema.type === "file" || schema.items?.format === "binary" || schema.items?.type === "file";

const wrong = (text, field) => Object.assign(new Error(text), { field });

const json = (name, input) => {
  try {
    return JSON.parse(input.value);
  } catch (error) {
    throw wrong(`${name} is not JSON: ${error.message}`, input);
  }
};

const textArea = (id, value) => {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, value && typeof value === "object" && JSON.stringify(value).length > 60 ? 2 : 0);
  return make("textarea", { id, value: text, rows: Math.min(12, text.split("\n").length + 1), spellcheck: false });
};

/** One field: its nodes, and how its value is read; undefined is left out. */
const fieldOf = (name, schema, value, required) => {
  const id = `field-${name}`;
  const optional = !required;
  const hint = [schema.type === "integer" ? "whole number" : schema.type, optional ? "may be left empty" : ""].filter((each) => typeof each === "string" && each).join(", ");
  const labelled = (input, read) => ({
    name, input, read,
    node: make("div", {}, make("label", { htmlFor: id }, `${name} `, make("small", { textContent: hint })), input, ...(schema.description ? [make("p", { className: "hint", textContent: schema.description })] : [])),
  });
  if (schema.enum) {
    const input = make("select", { id }, ...(optional ? [make("option", { value: "", textContent: "" })] : []), ...schema.enum.map((each) => make("option", { value: JSON.stringify(each), textContent: String(each), selected: each === value })));
    return labelled(input, () => (input.value ? JSON.parse(input.value) : undefined));
  }
  if (schema.type === "boolean") {
    const input = make("input", { type: "checkbox", id, checked: Boolean(value) });
    return { name, input, read: () => input.checked, node: make("div", { className: "check" }, input, make("label", { htmlFor: id, textContent: name })) };
  }
  if (schema.type === "integer" || schema.type === "number") {
    const input = make("input", { type: "number", id, step: schema.type === "integer" ? "1" : "any", value: value ?? "", required });
    return labelled(input, () => (input.value === "" ? undefined : input.valueAsNumber));
  }
  if (schema.type === "string") {
    const long = String(value ?? "").length > 60 || String(value ?? "").includes("\n");
    const input = long ? textArea(id, value) : make("input", { type: "text", id, value: value ?? "", autocomplete: "off" });
    return labelled(input, () => (input.value === "" && optional ? undefined : input.value));
  }
  const input = textArea(id, value ?? sample(schema, schema));
  return labelled(input, () => (input.value.trim() === "" && optional ? undefined : json(name, input)));
};

const fileOf = (name, schema) => {
  const input = make("input", { type: "file", id: `field-${name}`, multiple: schema.type === "array" });
  return { name, input, node: make("div", {}, make("label", { htmlFor: input.id, textContent: name }), input) };
};

/** The fields of a schema, filled with an example. */
export const writeFields = (root, example) => {
  const schema = resolve(root, root);
  const properties = Object.entries(schema.properties ?? {});
  if (schema.type !== "object" || !properties.length) {
    if (isFile(schema)) {
      const file = fileOf("body", schema);
      return { kind: "file", files: [file], values: [], nodes: [file.node] };
    }
    const empty = schema.type === undefined || (example && Object.keys(example).length) ? example : sample(schema, root);
    const whole = fieldOf("body", { ...schema, type: undefined }, empty, true);
    return { kind: "whole", files: [], values: [whole], nodes: [whole.node] };
  }
  const required = new Set(schema.required ?? []);
  const files = [];
  const values = [];
  const nodes = properties.map(([name, each]) => {
    const one = resolve(each, root);
    const field = isFile(one) ? fileOf(name, one)
      : fieldOf(name, one, example?.[name] ?? (one.optional ? one.default : sample(one, root)), required.has(name) && !one.optional);
    (isFile(one) ? files : values).push(field);
    return field.node;
  });
  return { kind: files.length ? "form" : "object", files, values, nodes };
};

/** What fetch needs to send them; throws an Error that has the wrong field. */
export const readFields = ({ kind, files, values }) => {
  const asJson = (value) => ({ headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
  if (kind === "file") {
    if (!files[0].input.files.length) throw wrong("Choose a file.", files[0].input);
    return { body: files[0].input.files[0] };
  }
  if (kind === "whole") return asJson(values[0].read());
  const read = values.map(({ name, read: value }) => [name, value()]).filter(([, value]) => value !== undefined);
  if (kind === "object") return asJson(Object.fromEntries(read));
  const body = new FormData();
  for (const [name, value] of read) body.append(name, typeof value === "string" ? value : JSON.stringify(value));
  for (const { name, input } of files) for (const file of input.files) body.append(name, file);
  return { body };
};
