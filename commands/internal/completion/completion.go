// Package completion has the scripts by which shells complete what is typed after ndock. They are the same for every
// release: each asks the hidden command `ndock complete`, which prints what may stand in place of the last word, a
// suggestion a line with what it is behind a tab; or Files, for the shell to complete the name of a file. Names of things of a cloud
// come from Names, which remembers them.
package completion

import "embed"

// Files stands for the names of files.
const Files = ":files"

// Shells are those that there is a script for.
var Shells = []string{"bash", "zsh", "fish"}

//go:embed ndock.bash ndock.zsh ndock.fish
var scripts embed.FS

// Script is what a shell of Shells has to read.
func Script(shell string) ([]byte, error) { return scripts.ReadFile("ndock." + shell) }

// Path is where that shell looks for the script on a machine on which ndock is in /usr/local.
func Path(shell string) string { return "/usr/local/share/" + places[shell] }

var places = map[string]string{
	"bash": "bash-completion/completions/ndock",
	"zsh":  "zsh/site-functions/_ndock",
	"fish": "fish/vendor_completions.d/ndock.fish",
}
