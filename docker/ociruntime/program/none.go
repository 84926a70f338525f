//go:build !ndock_runtime

package program

const content = ""
