package novadriver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
)

// Interpreter returns the command that the script nova-compute is run by, from its first line. The first python3
// in PATH may well be another one, without Nova.
func Interpreter(script string) ([]string, error) {
	file, err := os.OpenFile(script, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return nil, fmt.Errorf("find Nova's Python: %w", err)
	}
	defer file.Close()
	first, err := bufio.NewReader(io.LimitReader(file, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("find Nova's Python: %w", err)
	}
	command, found := strings.CutPrefix(first, "#!")
	words := strings.Fields(command)
	if !found || len(words) == 0 || !strings.Contains(command, "python") {
		return nil, fmt.Errorf("find Nova's Python: %s does not begin with the #! line of a Python script", script)
	}
	if filepath.Base(words[0]) == "env" && len(words) > 1 {
		return words[:2], nil
	}
	return words[:1], nil // options such as -sP are about the script
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// VirtDirectory asks that interpreter, through run, where it has the package nova.virt: a driver is found there
// and nowhere else.
func VirtDirectory(ctx context.Context, interpreter []string, run func(context.Context, ...string) (string, error)) (string, error) {
	// The operator's own PYTHONPATH and packages (-E, -s) are not those of the service.
	ask := append(append([]string{}, interpreter...), "-E", "-s", "-c", "import os, nova.virt; print(os.path.realpath(list(nova.virt.__path__)[0]))")
	out, err := run(ctx, ask...)
	if err != nil {
		return "", fmt.Errorf("find nova.virt: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	dir := strings.TrimSpace(lines[len(lines)-1])
	if !isNovaVirt(dir) {
		const enough = 200
		return "", fmt.Errorf("find nova.virt: %s answered %q, which is no directory of that name", strings.Join(interpreter, " "), out[:min(len(out), enough)])
	}
	return dir, nil
}

// isNovaVirt tells whether this is the path of such a directory: it may be what the user nova has written.
func isNovaVirt(dir string) bool {
	const longest = 4096 // bytes
	return filepath.IsAbs(dir) && strings.HasSuffix(filepath.Clean(dir), "/nova/virt") && len(dir) <= longest && !strings.ContainsFunc(dir, isUnprintable)
}
