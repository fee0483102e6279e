// What slack-blocks-to-jsx makes of blocks: a JSON list of lists of blocks on stdin becomes a JSON list of HTML on stdout.
// The one argument is the node_modules folder to take the packages from.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { text } from "node:stream/consumers";

const folder = process.argv[2];
const require = createRequire(`${folder}/`);
const { createElement } = require("react");
const { renderToStaticMarkup } = require("react-dom/server");
const { Message } = await import(pathToFileURL(`${folder}/slack-blocks-to-jsx/dist/index.mjs`));

const LOGO = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Crect width='99' height='99' rx='8' fill='%23188763'/%3E%3C/svg%3E";
const { messages, data } = JSON.parse(await text(process.stdin));
const drawn = messages.map((blocks) =>
  renderToStaticMarkup(createElement(Message, { blocks, name: "Sayso", logo: LOGO, time: new Date(0), data })));
process.stdout.write(JSON.stringify(drawn));
