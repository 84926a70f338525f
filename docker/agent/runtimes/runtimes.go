// Package runtimes knows the programs that can run servers' containers: runc, and those of the operator's file. It looks at
// them anew whenever it is asked, because packages come and go while the agent runs.
package runtimes

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"ndock/docker/agent/config"
	"ndock/docker/ociruntime"
)

// Runtimes are those of a host.
type Runtimes struct {
	byDefault string
	named     map[string]config.Runtime
	mutex     sync.Mutex
	versions  map[string]version // by name
}

// New returns the runtimes of the operator's file.
func New(operators config.Config) *Runtimes {
	return &Runtimes{byDefault: operators.Runtime, named: operators.Runtimes, versions: map[string]version{}}
}

// version is what a program has said of itself, or why it has not.
type version struct {
	of   fs.FileInfo
	text string
	err  error
	at   time.Time
}

// holds tells whether it may be said again of what is at the path now. What did not answer is asked again after a minute.
func (v version) holds(now fs.FileInfo) bool {
	same := v.of != nil && os.SameFile(v.of, now) && v.of.ModTime().Equal(now.ModTime()) && v.of.Size() == now.Size()
	return same && (v.err == nil || time.Since(v.at) < time.Minute)
}

// Named returns the program of a name, the host's default one for an empty name. It is an error where that cannot be used.
func (r *Runtimes) Named(name string) (ociruntime.Choice, error) {
	if name == "" {
		name = r.byDefault
	}
	if name == config.RunC || name == "" {
		return ociruntime.Choice{Name: config.RunC}, nil
	}
	found, known := r.named[name]
	if !known {
		return ociruntime.Choice{}, fmt.Errorf("agent.yaml of this host has no runtime %q: it has %s", name, strings.Join(r.names(), ", "))
	}
	if err := ociruntime.CheckProgram(found.Path); err != nil {
		return ociruntime.Choice{}, fmt.Errorf("the runtime %s cannot be used: %w", name, err)
	}
	text, err := r.version(name, found.Path)
	if err == nil {
		err = tooOld(text)
	}
	if err != nil {
		return ociruntime.Choice{}, fmt.Errorf("the runtime %s cannot be used: %w", name, err)
	}
	return ociruntime.Choice{Name: name, Path: found.Path, Args: slices.Concat(needed(text), found.Args), Sandbox: isSandbox(text)}, nil
}

// Has tells whether the operator's file has a runtime of this name, whether that works or not.
func (r *Runtimes) Has(name string) bool {
	_, found := r.named[name]
	return found || name == config.RunC
}

func (r *Runtimes) names() []string {
	return append([]string{config.RunC}, slices.Sorted(maps.Keys(r.named))...)
}

// Usable returns the names of those that work on this host, and a sentence on each that does not.
func (r *Runtimes) Usable() (names, lacks []string) {
	for _, name := range r.names() {
		if _, err := r.Named(name); err != nil {
			lacks = append(lacks, err.Error())
			continue
		}
		names = append(names, name)
	}
	return names, lacks
}

// versionLimit is how long a program may take to say its version.
const versionLimit = 5 * time.Second

// version returns what a program says of itself. It is asked once, and again when its file is another one.
func (r *Runtimes) version(name, path string) (string, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if known := r.versions[name]; known.holds(info) {
		return known.text, known.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionLimit)
	defer cancel()
	command := exec.CommandContext(ctx, path, "--version")
	command.WaitDelay = time.Second // for what it may have left that holds its output
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s --version does not answer within %s: %w", path, versionLimit, err)
	}
	r.versions[name] = version{info, string(out), err, time.Now()}
	return string(out), err
}

// needed returns the arguments without which a program would lose what servers write: gVisor keeps that to itself until the
// sandbox ends, and does not look for what the agent writes. The operator's come later, and win.
func needed(version string) []string {
	if strings.HasPrefix(version, "runsc version ") {
		return []string{"--overlay2=none", "--file-access=shared"}
	}
	return nil
}

// gvisorsDate finds the day of a gVisor's release, where it says one.
var gvisorsDate = regexp.MustCompile(`^runsc version (?:release-|0\.0~)(\d{8})`)

// tooOld returns an error for a gVisor of before August 2024, which takes each network namespace of newer kernels for the host's.
func tooOld(version string) error {
	if found := gvisorsDate.FindStringSubmatch(version); found != nil && found[1] < "20240801" {
		return fmt.Errorf("this gVisor is of %s, and takes each network namespace for the host's: install one of August 2024 or later", found[1])
	}
	return nil
}

// hostKernels are the programs, as they begin their versions, that run processes on the host's kernel and in its network
// namespaces. Of any other it is assumed that it does not.
var hostKernels = []string{"runc version ", "crun version ", "youki version "}

func isSandbox(text string) bool {
	return !slices.ContainsFunc(hostKernels, func(begin string) bool { return strings.HasPrefix(text, begin) })
}
