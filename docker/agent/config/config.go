// Package config is the operator's own file, /etc/ndock/agent.yaml: what servers get on this node beyond their
// flavors. Nothing of a tenant's comes near it.
package config

import (
	"bytes"
	_ "embed" // the file that setup writes
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/docker/go-units"
	"gopkg.in/yaml.v3"
)

// Path is where the operator's file is.
const Path = "/etc/ndock/agent.yaml"

//go:embed agent.yaml
var commented []byte

// Commented is the file that setup writes: every key, explained, and none of them set.
func Commented() []byte { return bytes.Clone(commented) }

// Config is what the file says.
type Config struct {
	NoNewPrivileges bool              `yaml:"no_new_privileges"`
	Seccomp         string            `yaml:"seccomp"`  // default, unconfined or a path; then the profile is in SeccompProfile
	AppArmor        string            `yaml:"apparmor"` // default or a profile's name
	CapDrop         []string          `yaml:"cap_drop"`
	CapAdd          []string          `yaml:"cap_add"`
	PidsLimit       int64             `yaml:"pids_limit"`
	ShmSizeMB       int64             `yaml:"shm_size_mb"`
	RawUlimits      map[string]string `yaml:"ulimits"`
	Bridges         []string          `yaml:"bridges"` // that ports may be plugged into, beside brq… and br-int

	SeccompProfile string          `yaml:"-"` // JSON
	Ulimits        []*units.Ulimit `yaml:"-"` // by name
}

// Default is what holds where the operator says nothing.
func Default() Config {
	return Config{NoNewPrivileges: true, Seccomp: byDefault, AppArmor: byDefault, PidsLimit: 4096, ShmSizeMB: 64}
}

// Load reads the operator's file. Where there is none at the usual place, nothing was said.
func Load(path string) (Config, error) {
	file, err := open(path)
	if errors.Is(err, fs.ErrNotExist) && path == Path {
		return Default(), nil
	}
	if err != nil {
		return Config{}, err
	}
	defer file.Close()
	config, err := parse(file)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// open refuses what others than root could have written: the file decides what tenants may do to this machine.
func open(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = roots(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func parse(from io.Reader) (Config, error) {
	config := Default()
	decoder := yaml.NewDecoder(from)
	decoder.KnownFields(true)
	if err := decoder.Decode(&config); err != nil && !errors.Is(err, io.EOF) { // EOF: nothing is set
		return Config{}, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("there is a second document, which nothing would read")
	}
	return config, config.check()
}
