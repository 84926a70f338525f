package node

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"ndock/openstack/novadriver"
)

// keep is the step that has the tool that deployed Nova (DevStack's stack.sh, kolla-ansible) know of the driver: else it
// writes the configuration of before when it is run again.
type keep struct {
	Machine
	did changes // of this run
}

func (k *keep) Title() string { return "keep" }

func (k *keep) path() string { return k.Layout.Path(k.Layout.Kept.Path) }

// ours is what setup adds to the file, between lines by which teardown finds it.
func (k *keep) ours() []byte {
	text := keepBegin
	if k.Layout.Kept.Section != "" {
		text += k.Layout.Kept.Section + "\n"
	}
	return []byte(text + "[" + section + "]\n" + key + " = " + novadriver.Driver + "\n" + keepEnd)
}

const (
	keepBegin = "# added by 'ndock node setup', removed by 'ndock node teardown'\n"
	keepEnd   = "# end of what ndock added\n"
)

func (k *keep) Plan(context.Context) ([]string, error) {
	now, err := before(k.path())
	if err != nil || bytes.Contains(now.content, k.ours()) {
		return nil, err
	}
	if err := k.free(now.content); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("add %s = %s to %s, for %s", key, novadriver.Driver, k.path(), k.Layout.Kept.Tool)}, nil
}

// free refuses a file that names a driver already: a second word on it would not be heard, or be a surprise.
func (k *keep) free(content []byte) error {
	for number, line := range strings.Split(string(content), "\n") {
		name, value, found := strings.Cut(line, "=")
		if found && strings.TrimSpace(name) == key && strings.TrimSpace(value) != novadriver.Driver {
			return advise(fmt.Errorf("%s, line %d: it sets %s", k.path(), number+1, strings.TrimSpace(line)), "remove that line, then run this again")
		}
	}
	return nil
}

// Edits adds what is ours behind the rest.
func (k *keep) Edits(context.Context) ([]Edit, error) {
	now, err := before(k.path())
	if err != nil || bytes.Contains(now.content, k.ours()) {
		return nil, err
	}
	content := bytes.Clone(now.content)
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		content = append(content, '\n')
	}
	return editsOf(k.path(), now.content, append(content, k.ours()...)), nil
}

func (k *keep) Do(ctx context.Context) error {
	edits, err := k.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return err
	}
	return k.did.make(edits[0])
}

// Rollback puts the file back as this run found it.
func (k *keep) Rollback(context.Context) ([]string, error) {
	if !k.did.any() {
		return nil, nil
	}
	return []string{"put back " + k.path() + " as it was"}, k.did.takeBack()
}

// Teardown takes out what is ours, and leaves the rest as it is by now.
func (k *keep) Teardown(context.Context) ([]string, error) {
	now, err := before(k.path())
	if err != nil || !bytes.Contains(now.content, k.ours()) {
		return nil, err
	}
	var did changes
	if !bytes.Equal(now.content, k.ours()) {
		if err := did.edit(k.path(), bytes.Replace(now.content, k.ours(), nil, 1)); err != nil {
			return nil, err
		}
		return []string{"removed what was added to " + k.path()}, nil
	}
	if err := did.remove(k.path()); err != nil {
		return nil, err
	}
	for dir := filepath.Dir(k.path()); removeEmpty(dir); dir = filepath.Dir(dir) {
		continue // up to the first that holds more
	}
	return []string{"removed " + k.path()}, nil
}

func (k *keep) Detail(context.Context) string {
	return fmt.Sprintf("%s finds the driver in %s", k.Layout.Kept.Tool, k.path())
}
