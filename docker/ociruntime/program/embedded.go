//go:build ndock_runtime

package program

import _ "embed" // the program

//go:embed ndock-runtime
var content string
