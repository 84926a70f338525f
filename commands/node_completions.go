package commands

import (
	"bytes"
	"fmt"

	"ndock/commands/internal/completion"
	"ndock/openstack/node/system"
)

// completionFiles are what 'ndock node setup' installs beside the program, where 'make install' does.
func completionFiles() ([]system.File, error) {
	var page bytes.Buffer
	if err := writeManual(&page); err != nil {
		return nil, fmt.Errorf("write the man page: %w", err)
	}
	files := []system.File{{Path: "/usr/local/share/man/man1/ndock.1", Content: page.Bytes(), Mode: 0o644}}
	for _, shell := range completion.Shells {
		script, err := completion.Script(shell)
		if err != nil {
			return nil, err
		}
		files = append(files, system.File{Path: completion.Path(shell), Content: script, Mode: 0o644})
	}
	return files, nil
}
