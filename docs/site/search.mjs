// Prints where the site in a directory says that words are, best first, as the box for searching in its pages does.
import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import MiniSearch from 'minisearch'

const [site, ...words] = process.argv.slice(2)
const chunks = resolve(site, 'assets/chunks')
const index = readdirSync(chunks).find((name) => name.startsWith('@localSearchIndex'))
const { default: json } = await import(`${chunks}/${index}`)
const search = MiniSearch.loadJSON(json, { fields: ['title', 'titles', 'text'], storeFields: ['title', 'titles'] })
for (const { id } of search.search(words.join(' '), { fuzzy: 0.2, prefix: true, boost: { title: 4, text: 2, titles: 1 } })) console.log(id)
