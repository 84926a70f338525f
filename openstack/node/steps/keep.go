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

// deployTool is the step keep: it tells the tool that deployed Nova (DevStack's stack.sh, kolla-ansible) of the driver. Else
// the tool writes the configuration of before at its next run.
type deployTool struct {
	Machine
	did system.Changes // of this run
}

func (k *deployTool) Title() string { return "keep" }

func (k *deployTool) path() string { return k.Layout.Path(k.Layout.DeployTool.Path) }

// block returns what setup adds to the file, between two comments by which teardown finds it.
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

// checkUnset returns an error where the file sets a driver already.
func (k *deployTool) checkUnset(content []byte) error {
	for number, line := range strings.Split(string(content), "\n") {
		name, value, found := strings.Cut(line, "=")
		if found && strings.TrimSpace(name) == key && strings.TrimSpace(value) != novadriver.Driver {
			return system.Advise(fmt.Errorf("%s, line %d: it sets %s", k.path(), number+1, strings.TrimSpace(line)), "remove that line, then run this again")
		}
	}
	return nil
}

// Edits adds the block at the end.
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
func (k *deployTool) Rollback(context.Context) ([]string, error) { return k.did.PutBack(k.path()) }

// Teardown removes the block, and a file that has nothing else.
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
		continue // up to the first that is not empty
	}
	return []string{"removed " + k.path()}, nil
}

func (k *deployTool) Detail(context.Context) (string, error) {
	return fmt.Sprintf("%s finds the driver in %s", k.Layout.DeployTool.Tool, k.path()), nil
}
