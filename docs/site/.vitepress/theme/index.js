// The reader's own fonts: nothing is fetched for the look.
export { default } from 'vitepress/theme-without-fonts'
