package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/tailscale/hujson"

	"ndock/registry"
	"ndock/registry/internal/atomicfile"
	"ndock/registry/internal/rollback"
)

// An Informer is Docker Engine, as far as its configuration can be asked for.
type Informer interface {
	Info(ctx context.Context) (system.Info, error)
}

// reloadTimeout is how long Docker may take to read its configuration again.
const reloadTimeout = 10 * time.Second

// pollInterval is how often Docker is asked meanwhile.
const pollInterval = 100 * time.Millisecond

// mirror is a registry that Docker asks before Docker Hub: a line in the operator's daemon.json.
type mirror struct {
	docker  Informer
	url     string
	file    string
	pidFile string
}

// plan returns the change that adds or removes it; nil if there is nothing to change.
func (m mirror) plan(remove bool) (*Change, error) {
	old, err := os.ReadFile(m.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at Docker's mirrors: %w", err)
	}
	edit, what := withMirror, "add "+m.url+" to registry-mirrors in "+m.file+", which Docker reads at once"
	if remove {
		edit, what = withoutMirror, "take "+m.url+" out of registry-mirrors in "+m.file+", which Docker reads at once"
	}
	content, err := edit(old, m.url)
	if err != nil {
		return nil, fmt.Errorf("edit %s: %w", m.file, err)
	}
	if bytes.Equal(old, content) {
		return nil, nil
	}
	return &Change{
		What: what,
		Do:   func(ctx context.Context) error { return m.change(ctx, old, content, !remove) },
		undo: rollback.Step{Title: "mirrors in " + m.file, Do: func(ctx context.Context) error { return m.change(ctx, content, old, remove) }, ByHand: "edit " + m.file + "; systemctl reload docker"},
	}, nil
}

// change writes the file and has Docker read it. It puts the old content back when Docker does not take it, or the
// context ends. Docker ignores that a setting is gone, so it reads an empty list first.
func (m mirror) change(ctx context.Context, old, content []byte, there bool) error {
	said, err := withMirrorsSetting(content)
	if err != nil {
		return fmt.Errorf("edit %s: %w", m.file, err)
	}
	if err := m.write(said); err != nil {
		return registry.AsRoot("edit "+m.file, err)
	}
	if err = m.reload(ctx, there); err != nil {
		return m.revert(fmt.Errorf("have Docker read %s: %w", m.file, err), old)
	}
	if bytes.Equal(said, content) {
		return nil
	}
	if err := m.write(content); err != nil { // Docker has read what means the same
		return m.revert(registry.AsRoot("edit "+m.file, err), old)
	}
	return nil
}

// revert has Docker read the file as it was. What fails in that is added to the error.
func (m mirror) revert(cause error, old []byte) error {
	hint := registry.HintOf(cause)
	for _, step := range []struct {
		what   string
		do     func() error
		byHand string
	}{
		{"writing " + m.file + " as it was", func() error { return m.write(old) }, "put " + m.file + " back as it was"},
		{"having Docker read it", m.signal, "'systemctl reload docker', or send SIGHUP to dockerd"},
	} {
		if err := step.do(); err != nil {
			cause = fmt.Errorf("%w; and %s failed: %w", cause, step.what, err)
			hint = strings.TrimPrefix(hint+"; by hand: "+step.byHand, "; ")
		}
	}
	return &registry.Error{Err: cause, Help: hint}
}

// write replaces the file by one of the same owner; without content it removes the file.
func (m mirror) write(content []byte) error {
	if len(content) == 0 {
		if err := os.Remove(m.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return atomicfile.Write(m.file, content, func(next *os.File) error {
		return errors.Join(next.Chmod(0o644), atomicfile.CopyOwner(next, m.file))
	})
}

// reload has Docker read the file, and waits until it has. If Docker does not run, it reads the file when it starts.
func (m mirror) reload(ctx context.Context, there bool) error {
	if pid, err := m.pid(); err != nil || pid == 0 {
		return err
	}
	if err := m.signal(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	for {
		info, err := m.docker.Info(ctx)
		if err == nil && info.RegistryConfig != nil && m.in(info.RegistryConfig.Mirrors) == there {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("it has not taken it in %s", reloadTimeout)
			}
			return &registry.Error{Err: err, Help: "Docker's log says why; a mirror that dockerd has as a flag goes with none in the file"}
		case <-time.After(pollInterval):
		}
	}
}

func (m mirror) signal() error {
	pid, err := m.pid()
	if err != nil || pid == 0 {
		return err
	}
	return syscall.Kill(pid, syscall.SIGHUP)
}

// pid returns Docker's process id; 0 if it does not run. The file may be left over and name another program.
func (m mirror) pid() (int, error) {
	text, err := os.ReadFile(m.pidFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s holds no process id", m.pidFile)
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(name)) != "dockerd" {
		return 0, nil
	}
	return pid, nil
}

func (m mirror) in(mirrors []string) bool {
	return slices.ContainsFunc(mirrors, func(one string) bool { return sameMirror(one, m.url) })
}

// sameMirror compares URLs, to some of which Docker adds a slash.
func sameMirror(one, other string) bool {
	return strings.TrimRight(one, "/") == strings.TrimRight(other, "/")
}

// withMirror adds a mirror to the text of a daemon.json, and changes nothing else in it.
func withMirror(text []byte, url string) ([]byte, error) {
	there, err := mirrorsIn(text)
	if err != nil || slices.ContainsFunc(there, func(one string) bool { return sameMirror(one, url) }) {
		return text, err
	}
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return fmt.Appendf(nil, "{\n  \"registry-mirrors\": [%q]\n}\n", url), nil
	case there == nil:
		return patch(text, fmt.Sprintf(`[{"op": "add", "path": "/registry-mirrors", "value": [%q]}]`, url))
	}
	return patch(text, fmt.Sprintf(`[{"op": "add", "path": "/registry-mirrors/-", "value": %q}]`, url))
}

// withoutMirror removes it. It returns nothing if the file has nothing else in it.
func withoutMirror(text []byte, url string) ([]byte, error) {
	there, err := mirrorsIn(text)
	at := slices.IndexFunc(there, func(one string) bool { return sameMirror(one, url) })
	if err != nil || at < 0 {
		return text, err
	}
	path := fmt.Sprintf("/registry-mirrors/%d", at)
	if len(there) == 1 {
		path = "/registry-mirrors"
	}
	edited, err := patch(text, fmt.Sprintf(`[{"op": "remove", "path": %q}]`, path))
	if err != nil {
		return nil, err
	}
	if left := map[string]json.RawMessage{}; json.Unmarshal(edited, &left) == nil && len(left) == 0 {
		return nil, nil
	}
	return withoutMirror(edited, url) // it may be there twice
}

// withMirrorsSetting returns the text with the setting, empty if it was not there.
func withMirrorsSetting(text []byte) ([]byte, error) {
	there, err := mirrorsIn(text)
	switch {
	case err != nil || there != nil:
		return text, err
	case len(bytes.TrimSpace(text)) == 0:
		return []byte("{\n  \"registry-mirrors\": []\n}\n"), nil
	}
	return patch(text, `[{"op": "add", "path": "/registry-mirrors", "value": []}]`)
}

// mirrorsIn returns the mirrors of a daemon.json; nil if it has no such setting.
func mirrorsIn(text []byte) ([]string, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	var there struct {
		Mirrors []string `json:"registry-mirrors"`
	}
	err := json.Unmarshal(text, &there)
	return there.Mirrors, err
}

func patch(text []byte, operations string) ([]byte, error) {
	value, err := hujson.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := value.Patch([]byte(operations)); err != nil {
		return nil, err
	}
	return value.Pack(), nil
}
