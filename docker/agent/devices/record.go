package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ndock/docker/durable"
)

// recordFile says, in a server's directory, which devices the server has.
const recordFile = "devices.json"

// held are the devices of one container of a server: it may have a backup, too.
type held struct {
	Container string                       `json:"container"` // its id; empty while it is being made
	Boot      string                       `json:"boot"`      // which boot of the host the nodes are of: the next may number them anew
	Devices   map[string]map[string]string `json:"devices"`   // their nodes, by resource class and qualified name
}

func (h held) names() []string {
	var names []string
	for _, some := range h.Devices {
		names = slices.AppendSeq(names, maps.Keys(some))
	}
	slices.Sort(names)
	return names
}

// bootID is what the kernel calls this boot of the host.
const bootID = "/proc/sys/kernel/random/boot_id"

// thisBoot returns which boot of the host this is. Where the kernel does not tell, all are one.
func thisBoot() string {
	text, _ := os.ReadFile(bootID)
	return strings.TrimSpace(string(text))
}

// read returns what a server has.
func (d *Devices) read(uuid string) ([]held, error) {
	path := filepath.Join(d.root, uuid, recordFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []held
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read which devices server %s has, in %s: %w", uuid, path, err)
	}
	return all, nil
}

// write records what a server has. After a power cut either the old or the new is there.
func (d *Devices) write(uuid string, all []held) error {
	path := filepath.Join(d.root, uuid, recordFile)
	if len(all) == 0 {
		return removeFile(path)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'))
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// servers returns what all servers have, by id, and an error for each of which that cannot be read.
func (d *Devices) servers() (all map[string][]held, failed []error) {
	entries, err := os.ReadDir(d.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []error{err}
	}
	all = map[string][]held{}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		some, err := d.read(entry.Name())
		if err != nil {
			failed = append(failed, err)
		}
		if len(some) > 0 {
			all[entry.Name()] = some
		}
	}
	return all, failed
}
