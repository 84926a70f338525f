// Package config reads the operator's file, /etc/ndock/agent.yaml: what servers get on this node beyond their flavors. No
// tenant has any influence on it.
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

// Path is the path of the operator's file.
const Path = "/etc/ndock/agent.yaml"

//go:embed agent.yaml
var commented []byte

// Commented returns the file that setup writes: every key, explained and commented out.
func Commented() []byte { return bytes.Clone(commented) }

// Config is the content of the file.
type Config struct {
	NoNewPrivileges    bool              `yaml:"no_new_privileges"`
	Seccomp            string            `yaml:"seccomp"`  // default, unconfined or a path; then the profile is in SeccompProfile
	AppArmor           string            `yaml:"apparmor"` // default or a profile's name
	CapDrop            []string          `yaml:"cap_drop"`
	CapAdd             []string          `yaml:"cap_add"`
	PidsLimit          int64             `yaml:"pids_limit"`
	ShmSizeMB          int64             `yaml:"shm_size_mb"`
	ImageMaxUnpackedGB int64             `yaml:"image_max_unpacked_gb"` // the most that an image may unpack to
	ImageReserveGB     int64             `yaml:"image_reserve_gb"`      // what stays free on the disk of Docker's data when an image is loaded
	RawUlimits         map[string]string `yaml:"ulimits"`
	WholeSnapshots     bool              `yaml:"whole_snapshots"` // a snapshot is one image of Glance, with all of its layers
	Healthcheck        bool              `yaml:"healthcheck"`
	HealthcheckMin     int64             `yaml:"healthcheck_min_interval"` // in seconds
	Bridges            []string          `yaml:"bridges"`                  // that ports may be plugged into, beside brq… and br-int
	Devices            map[string]string `yaml:"devices"`                  // kinds of CDI's, by the resource class that servers get them by

	Metrics string `yaml:"metrics"` // ADDRESS:PORT of /metrics and /healthz; none without

	Runtime  string             `yaml:"runtime"`  // of servers whose flavor names none
	Runtimes map[string]Runtime `yaml:"runtimes"` // that flavors can name, beside runc

	SeccompProfile string          `yaml:"-"` // JSON
	Ulimits        []*units.Ulimit `yaml:"-"` // by name, with one of core dumps
}

// Default returns the values of a file without keys. It drops those of Docker's capabilities that few images need and that
// reach beyond a container or its own files: for forged packets, device nodes, file capabilities, and the host's audit log.
func Default() Config {
	return Config{
		NoNewPrivileges: true, Seccomp: byDefault, AppArmor: byDefault, PidsLimit: 4096, ShmSizeMB: 64,
		ImageMaxUnpackedGB: 500, ImageReserveGB: 1,
		CapDrop:     []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"},
		Healthcheck: true, HealthcheckMin: 10,
		Runtime: RunC,
		Ulimits: []*units.Ulimit{noCoreDumps()},
	}
}

// Load reads the operator's file. Without one at Path it returns Default.
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

// open refuses a file that others than root could have written: it decides what tenants may do to this machine.
func open(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = checkOwner(path, info)
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
