package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
	"ndock/openstack/oslo"
)

const (
	section = "DEFAULT"
	key     = "compute_driver"
)

// config is the step that sets the driver in Nova's configuration.
type config struct {
	Machine
	did    system.Changes // of this run
	undone bool           // the driver of before is set again
}

func (c *config) Title() string { return "config" }

func (c *config) path() string { return c.Layout.Path(c.Layout.Config) }

// created is the content of a file that was missing.
const created = "# made by 'ndock node setup'\n[DEFAULT]\ncompute_driver = " + novadriver.Driver + "\n"

// readIfThere reads a configuration file, nil where there is none.
func readIfThere(path string) (*oslo.Conf, error) {
	conf, err := layout.ReadConf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return conf, err
}

func (c *config) Plan(context.Context) ([]string, error) {
	if err := c.checkUnambiguous(); err != nil {
		return nil, err
	}
	conf, err := readIfThere(c.path())
	if err != nil {
		return nil, err
	}
	if conf == nil {
		return []string{fmt.Sprintf("make %s, with %s = %s", c.path(), key, novadriver.Driver)}, nil
	}
	now, found, err := conf.Get(section, key)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return []string{fmt.Sprintf("set %s = %s in %s", key, novadriver.Driver, c.path())}, nil
	case now != novadriver.Driver:
		return []string{fmt.Sprintf("set %s = %s in %s, in place of %s", key, novadriver.Driver, c.path(), system.Printable(now))}, nil
	}
	return nil, nil
}

// checkUnambiguous returns an error where the driver is set twice in one file, as its author may rely on either, or set in a
// file that Nova reads later, and that overrides ours.
func (c *config) checkUnambiguous() error {
	files, err := c.Layout.ConfigFiles()
	if err != nil {
		return err
	}
	later := false
	for _, path := range files {
		conf, err := layout.ReadConf(path)
		if err != nil {
			return err
		}
		driver, found, err := conf.Get(section, key)
		if err != nil {
			return err
		}
		if later && found && driver != novadriver.Driver {
			return system.Advise(fmt.Errorf("%s sets %s = %s, and Nova reads it after %s", path, key, system.Printable(driver), c.path()), "remove that line, then run this again")
		}
		later = later || path == c.path()
	}
	return nil
}

// Edits sets the driver.
func (c *config) Edits(context.Context) ([]system.Edit, error) {
	conf, err := readIfThere(c.path())
	if err != nil {
		return nil, err
	}
	if conf == nil {
		return system.EditsOf(c.path(), nil, []byte(created)), nil
	}
	before := conf.Bytes()
	if err := conf.Set(section, key, novadriver.Driver); err != nil {
		return nil, err
	}
	return system.EditsOf(c.path(), before, conf.Bytes()), nil
}

// Do records the file as it is, and edits it.
func (c *config) Do(ctx context.Context) error {
	edits, err := c.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return err
	}
	if edits[0].Before == nil {
		return c.did.Write(c.path(), edits[0].After, 0o644)
	}
	if err := c.record().Keep(&c.did, c.Layout.Config); err != nil {
		return err
	}
	return c.did.Edit(c.path(), edits[0].After)
}

func (c *config) Detail(context.Context) string {
	return fmt.Sprintf("%s = %s in %s", key, novadriver.Driver, c.path())
}

// Teardown sets the driver of before, and keeps what the operator has edited since.
func (c *config) Teardown(context.Context) ([]string, error) {
	now, err := readIfThere(c.path())
	if err != nil || now == nil {
		return nil, err
	}
	left := c.record().Untrusted(c.Layout.Config)
	saved, err := c.saved()
	if err != nil {
		return nil, err
	}
	content, text, err := c.former(now, saved)
	if err != nil || text == "" {
		return left, err
	}
	var did system.Changes
	if err := c.replace(&did, content, saved != nil); err != nil {
		return nil, errors.Join(err, did.Rollback())
	}
	c.undone = true
	return append(left, text), nil
}

// saved returns the file as it was before setup, nil where it was not kept.
func (c *config) saved() (*oslo.Conf, error) {
	was, err := c.record().Original(c.Layout.Config)
	if err != nil || was.Missing {
		return nil, err
	}
	return oslo.Parse(c.path(), was.Content)
}

// Rollback puts the file back as this run found it.
func (c *config) Rollback(context.Context) ([]string, error) {
	c.undone = c.did.Any()
	return c.did.PutBack(c.path())
}

// former returns the content to go back to, nil where there is to be no file, and a sentence on it, an empty one where there
// is nothing to do.
func (c *config) former(now, saved *oslo.Conf) (content []byte, text string, err error) {
	driver, _, err := now.Get(section, key)
	switch {
	case err != nil:
		return nil, "", err
	case driver != novadriver.Driver && saved == nil:
		return nil, "", nil
	case driver != novadriver.Driver:
		return now.Bytes(), "left " + c.path() + " as it is: it names another driver by now", nil
	case saved == nil && string(now.Bytes()) == created:
		return nil, "removed " + c.path(), nil
	case saved == nil:
		err = now.Remove(section, key)
		return now.Bytes(), fmt.Sprintf("removed %s from %s", key, c.path()), err
	}
	return c.merge(now, saved)
}

// merge returns the saved content where the file was not edited since setup, else the file with the old driver.
func (c *config) merge(now, saved *oslo.Conf) ([]byte, string, error) {
	before := saved.Bytes()
	driver, found, err := saved.Get(section, key)
	if err != nil {
		return nil, "", err
	}
	if err := saved.Set(section, key, novadriver.Driver); err != nil {
		return nil, "", err
	}
	if bytes.Equal(saved.Bytes(), now.Bytes()) {
		return before, "put back " + c.path() + " as it was", nil
	}
	if !found {
		err = now.Remove(section, key)
		return now.Bytes(), fmt.Sprintf("removed %s from %s, which keeps what was edited since", key, c.path()), err
	}
	err = now.Set(section, key, driver)
	return now.Bytes(), fmt.Sprintf("set %s = %s in %s, which keeps what was edited since", key, driver, c.path()), err
}

// replace writes the content, or removes the file where that is nil, and forgets what was saved of it.
func (c *config) replace(did *system.Changes, content []byte, saved bool) error {
	if content == nil {
		return did.Remove(c.path())
	}
	if err := did.Edit(c.path(), content); err != nil || !saved {
		return err
	}
	return c.record().Forget(c.Layout.Config)
}
