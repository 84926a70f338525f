package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// InjectionFile is in the directory of a server that has devices of the host.
const InjectionFile = "injection.json"

// An Injection is what a server's container is given with its devices. The agent writes it at each start.
type Injection struct {
	Container string          `json:"container"` // its id: what was made for another is refused
	Config    json.RawMessage `json:"config"`    // an OCI configuration that has only what is added
}

type object = map[string]json.RawMessage

// added is the part of an Injection's configuration that is used.
type added struct {
	Process struct {
		Env  []string
		User struct{ AdditionalGids []int64 }
	}
	Mounts []object
	Hooks  map[string][]json.RawMessage
	Linux  struct {
		Devices   []object
		Resources struct{ Devices []json.RawMessage }
	}
}

// inject adds to a container's configuration what the agent has written for its devices, if it has any.
func inject(config object, dir, container string) error {
	text, err := os.ReadFile(filepath.Join(dir, InjectionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var injection Injection
	if err == nil {
		err = json.Unmarshal(text, &injection)
	}
	var add added
	if err == nil && injection.Config != nil {
		err = json.Unmarshal(injection.Config, &add)
	}
	if err != nil {
		return fmt.Errorf("read what its devices need: %w", err)
	}
	if injection.Container != container {
		return fmt.Errorf("its devices are not prepared, for only Nova starts a server: %s is about container %.12s", InjectionFile, injection.Container)
	}
	return add.to(config)
}

func (a *added) to(config object) error {
	var user struct{ UID, GID int64 }
	return errors.Join(
		within(config, "process", func(process object) error {
			return errors.Join(
				replace(process, "env", func(env []string) []string { return withEnv(env, a.Process.Env) }),
				decode(process["user"], &user),
				within(process, "user", func(of object) error { return appendTo(of, "additionalGids", a.Process.User.AdditionalGids) }))
		}),
		replace(config, "mounts", func(mounts []object) []object { return withMounts(mounts, a.Mounts) }),
		within(config, "hooks", func(hooks object) error {
			var failed []error
			for moment, some := range a.Hooks {
				failed = append(failed, appendTo(hooks, moment, some))
			}
			return errors.Join(failed...)
		}),
		within(config, "linux", func(linux object) error {
			return errors.Join(
				replace(linux, "devices", func(nodes []object) []object { return withNodes(nodes, a.Linux.Devices, user.UID, user.GID) }),
				within(linux, "resources", func(of object) error { return appendTo(of, "devices", a.Linux.Resources.Devices) }))
		}),
	)
}

// within changes an object of an object; it makes one where there is none.
func within(of object, key string, change func(object) error) error {
	inner := object{}
	if err := decode(of[key], &inner); err != nil {
		return err
	}
	err := change(inner)
	if len(inner) > 0 && err == nil {
		of[key], err = json.Marshal(inner)
	}
	return err
}

// replace changes a list of an object.
func replace[T any](of object, key string, change func([]T) []T) error {
	var list []T
	if err := decode(of[key], &list); err != nil {
		return err
	}
	list = change(list)
	if len(list) == 0 {
		return nil
	}
	var err error
	of[key], err = json.Marshal(list)
	return err
}

func appendTo[T any](of object, key string, more []T) error {
	return replace(of, key, func(list []T) []T { return append(list, more...) })
}

// decode reads a value that need not be there.
func decode(text json.RawMessage, into any) error {
	if text == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// withEnv returns an environment with these variables, in the place of those of the same name.
func withEnv(env, more []string) []string {
	for _, variable := range more {
		name, _, _ := strings.Cut(variable, "=")
		env = slices.DeleteFunc(env, func(one string) bool { return strings.HasPrefix(one, name+"=") })
		env = append(env, variable)
	}
	return env
}

// withMounts returns mounts with these, in the place of those at the same path, and each below what it is mounted in.
func withMounts(mounts, more []object) []object {
	if len(more) == 0 {
		return mounts
	}
	for _, mount := range more {
		mounts = append(without(mounts, "destination", mount), mount)
	}
	depth := func(mount object) int { return strings.Count(filepath.Clean(text(mount["destination"])), "/") }
	slices.SortStableFunc(mounts, func(a, b object) int { return depth(a) - depth(b) })
	return mounts
}

// withNodes returns device nodes with these, in the place of those at the same path. They are root's or, where the process is
// another user's and the specification names nobody, that user's.
func withNodes(nodes, more []object, uid, gid int64) []object {
	for _, node := range more {
		for key, id := range map[string]int64{"uid": uid, "gid": gid} {
			if node[key] == nil {
				node[key] = json.RawMessage(fmt.Sprint(id))
			}
		}
		nodes = append(without(nodes, "path", node), node)
	}
	return nodes
}

func without(all []object, key string, like object) []object {
	return slices.DeleteFunc(all, func(one object) bool { return text(one[key]) == text(like[key]) })
}

func text(value json.RawMessage) string {
	var of string
	_ = decode(value, &of) // what is no text is like nothing else
	return of
}
