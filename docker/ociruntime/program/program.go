// Package program has the program ndock-runtime, as it was built together with this ndock.
package program

// Content returns the program. It returns nil in an ndock that was built without it, as by `go install`: the Makefile builds
// ndock-runtime first, and then ndock with the tag ndock_runtime.
func Content() []byte {
	if content == "" {
		return nil
	}
	return []byte(content)
}
