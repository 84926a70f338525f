package steps

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
)

// keep is the step that has the tool that deployed Nova (DevStack's stack.sh, kolla-ansible) know of the driver: else it
// writes the configuration of before when it is run again.
type deployTool struct {
	Machine
	did system.Changes // of this run
}

func (k *deployTool) Title() string { return "keep" }

func (k *deployTool) path() string { return k.Layout.Path(k.Layout.DeployTool.Path) }

// ours is what setup adds to the file, between lines by which teardown finds it.
func (k *deployTool) block() []byte {
	text := ownBegin
	if k.Layout.DeployTool.Section != "" {
		text += k.Layout.DeployTool.Section + "\n"
	}
	return []byte(text + "[" + section + "]\n" + key + " = " + novadriver.Driver + "\n" + ownEnd)
}

const (
	ownBegin = "# added by 'ndock node setup', removed by 'ndock node teardown'\n"
	ownEnd   = "# end of what ndock added\n"
)

func (k *deployTool) Plan(context.Context) ([]string, error) {
	now, err := system.Inspect(k.path())
	if err != nil || bytes.Contains(now.Content, k.block()) {
		return nil, err
	}
	if err := k.checkUnset(now.Content); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("add %s = %s to %s, for %s", key, novadriver.Driver, k.path(), k.Layout.DeployTool.Tool)}, nil
}

// free refuses a file that names a driver already: a second word on it would not be heard, or be a surprise.
func (k *deployTool) checkUnset(content []byte) error {
	for number, line := range strings.Split(string(content), "\n") {
		name, value, found := strings.Cut(line, "=")
		if found && strings.TrimSpace(name) == key && strings.TrimSpace(value) != novadriver.Driver {
			return system.Advise(fmt.Errorf("%s, line %d: it sets %s", k.path(), number+1, strings.TrimSpace(line)), "remove that line, then run this again")
		}
	}
	return nil
}

// Edits adds what is ours behind the rest.
func (k *deployTool) Edits(context.Context) ([]system.Edit, error) {
	now, err := system.Inspect(k.path())
	if err != nil || bytes.Contains(now.Content, k.block()) {
		return nil, err
	}
	content := bytes.Clone(now.Content)
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		content = append(content, '\n')
	}
	return system.EditsOf(k.path(), now.Content, append(content, k.block()...)), nil
}

func (k *deployTool) Do(ctx context.Context) error {
	edits, err := k.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return err
	}
	return k.did.Apply(edits[0])
}

// Rollback puts the file back as this run found it.
func (k *deployTool) Rollback(context.Context) ([]string, error) {
	if !k.did.Any() {
		return nil, nil
	}
	return []string{"put back " + k.path() + " as it was"}, k.did.Rollback()
}

// Teardown takes out what is ours, and leaves the rest as it is by now.
func (k *deployTool) Teardown(context.Context) ([]string, error) {
	now, err := system.Inspect(k.path())
	if err != nil || !bytes.Contains(now.Content, k.block()) {
		return nil, err
	}
	var did system.Changes
	if !bytes.Equal(now.Content, k.block()) {
		if err := did.Edit(k.path(), bytes.Replace(now.Content, k.block(), nil, 1)); err != nil {
			return nil, err
		}
		return []string{"removed what was added to " + k.path()}, nil
	}
	if err := did.Remove(k.path()); err != nil {
		return nil, err
	}
	for dir := filepath.Dir(k.path()); system.RemoveEmpty(dir); dir = filepath.Dir(dir) {
		continue // up to the first that holds more
	}
	return []string{"removed " + k.path()}, nil
}

func (k *deployTool) Detail(context.Context) string {
	return fmt.Sprintf("%s finds the driver in %s", k.Layout.DeployTool.Tool, k.path())
}
