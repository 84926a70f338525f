// The manual as a site: README.md and docs/*.md as they are, see 'make site'. Navigation is the table of pages in
// README.md, which is index.md here.
import { readFileSync } from 'node:fs'

const heading = (path) => readFileSync(path, 'utf8').match(/^# (.*)$/m)[1]

const pages = [...readFileSync('index.md', 'utf8').matchAll(/^\| \[(docs\/[^\]]*)\.md\]/gm)]
  .map(([, path]) => ({ text: heading(`${path}.md`), link: `/${path}` }))

export default {
  title: 'ndock',
  description: 'Docker as a hypervisor of OpenStack',
  base: process.env.SITE_BASE || '/',
  outDir: '../site',
  // The anchors of a forge, which links in the pages have.
  markdown: {
    anchor: { slugify: (text) => text.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-') },
  },
  themeConfig: {
    sidebar: [{ text: 'ndock', link: '/' }, { text: 'Manual', items: pages }],
    outline: [2, 3],
    search: { provider: 'local' }, // an index beside the pages: no server, and nobody else's
  },
}
