package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
	"ndock/openstack/oslo"
)

const (
	section = "DEFAULT"
	key     = "compute_driver"
)

// config is the step that sets the driver in Nova's configuration: where drop-ins beat Nova's other files, in one of ndock's own,
// and else in a file of Nova's, in place.
type config struct {
	Machine
	did    system.Changes // of this run
	file   string         // that this run has set it in
	undone bool           // the driver of before is set again
	taken  *oslo.Setting  // what Nova takes; nil before it is asked
}

func (c *config) Title() string { return "config" }

// setting returns the driver that Nova takes, and the file to set ours in.
func (c *config) setting(ctx context.Context) (now oslo.Setting, file string, err error) {
	if c.taken == nil {
		if now, err = c.inForce(ctx, section, key); err != nil {
			return now, "", err
		}
		c.taken = &now
	}
	if c.taken.DropInsWin {
		return *c.taken, layout.DropIn, nil
	}
	return *c.taken, c.Layout.Config, nil
}

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

func (c *config) Plan(ctx context.Context) ([]string, error) {
	now, file, err := c.setting(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.checkOnce(now); err != nil {
		return nil, err
	}
	var plan []string
	if now.Value != novadriver.Driver || c.moves(now) {
		if err := c.checkTaken(now, file); err != nil {
			return nil, err
		}
		text, err := c.planFor(file)
		if err != nil {
			return nil, err
		}
		plan = append(plan, text)
	}
	if c.moves(now) {
		plan = append(plan, "take it out of "+c.Layout.Path(c.Layout.Config)+", where an earlier release has set it")
	}
	return plan, nil
}

func (c *config) planFor(file string) (string, error) {
	path := c.Layout.Path(file)
	conf, err := readIfThere(path)
	if err != nil {
		return "", err
	}
	if conf == nil {
		return fmt.Sprintf("make %s, with %s = %s", path, key, novadriver.Driver), nil
	}
	now, found, err := conf.Get(section, key)
	if err == nil && found {
		return fmt.Sprintf("set %s = %s in %s, in place of %s", key, novadriver.Driver, path, system.Printable(now)), nil
	}
	return fmt.Sprintf("set %s = %s in %s", key, novadriver.Driver, path), err
}

// moves tells whether an earlier release of ndock has set the driver in place where a drop-in is to be.
func (c *config) moves(now oslo.Setting) bool {
	if !now.DropInsWin || now.File != c.Layout.Config || now.Value != novadriver.Driver {
		return false
	}
	saved, err := c.saved(c.Layout.Config)
	return err == nil && saved != nil
}

// Edits sets the driver.
func (c *config) Edits(ctx context.Context) ([]system.Edit, error) {
	now, file, err := c.setting(ctx)
	if err != nil || now.Value == novadriver.Driver && !c.moves(now) {
		return nil, err
	}
	edits, err := c.editsOf(file)
	if err != nil || !c.moves(now) {
		return edits, err
	}
	former, err := c.withoutDriver()
	return append(edits, former...), err
}

// editsOf sets the driver in a file.
func (c *config) editsOf(file string) ([]system.Edit, error) {
	path := c.Layout.Path(file)
	conf, err := readIfThere(path)
	if err != nil {
		return nil, err
	}
	if conf == nil {
		return system.EditsOf(path, nil, []byte(created)), nil
	}
	before := conf.Bytes()
	if err := conf.Set(section, key, novadriver.Driver); err != nil {
		return nil, err
	}
	return system.EditsOf(path, before, conf.Bytes()), nil
}

// withoutDriver takes out of Nova's file what an earlier release has set there.
func (c *config) withoutDriver() ([]system.Edit, error) {
	path := c.Layout.Path(c.Layout.Config)
	now, err := readIfThere(path)
	if err != nil || now == nil {
		return nil, err
	}
	saved, err := c.saved(c.Layout.Config)
	if err != nil {
		return nil, err
	}
	before := now.Bytes()
	content, _, err := former(path, now, saved)
	return system.EditsOf(path, before, content), err
}

// Do sets the driver, and asks whether Nova takes it now.
func (c *config) Do(ctx context.Context) error {
	_, file, err := c.setting(ctx)
	if err != nil {
		return err
	}
	edits, err := c.Edits(ctx)
	if err != nil {
		return err
	}
	c.file = file
	for _, edit := range edits {
		if err := c.apply(edit); err != nil {
			return err
		}
	}
	c.taken = nil
	now, _, err := c.setting(ctx)
	if err == nil && now.Value != novadriver.Driver {
		err = c.notTaken(now, c.file)
	}
	return err
}

// apply makes an edit. Files of others are recorded before the driver is set in them, and not any more once it is taken out:
// a setup that is killed in between has lost nothing.
func (c *config) apply(edit system.Edit) error {
	if edit.Before == nil {
		return c.did.Write(edit.Path, edit.After, 0o644)
	}
	file, sets := c.Layout.Cut(edit.Path), edit.Path == c.Layout.Path(c.file)
	if sets {
		if err := c.record().Keep(&c.did, file); err != nil {
			return err
		}
	}
	if err := c.did.Edit(edit.Path, edit.After); err != nil || sets {
		return err
	}
	return c.record().ForgetIn(&c.did, file)
}

func (c *config) Detail(ctx context.Context) (string, error) {
	now, _, err := c.setting(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s = %s in %s", key, novadriver.Driver, c.Layout.Path(now.File)) + c.serviceUserDetail(ctx), nil
}

// serviceUserDetail says what servers cannot boot from where Nova has no user of its own for Glance.
func (c *config) serviceUserDetail(ctx context.Context) string {
	const section = "service_user"
	for _, option := range []string{"auth_type", "auth_section"} { // the latter names a section with the former
		now, err := c.inForce(ctx, section, option)
		if err != nil {
			return "; " + err.Error()
		}
		if now.Value != "" {
			return ""
		}
	}
	return "; nova has no user of its own in [" + section + "], and cannot boot images in layers here that other projects have made public or " +
		"shared: set auth_type, auth_url, username, password, … there, as in [keystone_authtoken], and restart nova-compute"
}

// Teardown sets the driver of before, and keeps what the operator has edited since. It asks nobody which file it is: either may
// have been the one when it was set.
func (c *config) Teardown(context.Context) ([]string, error) {
	c.taken = nil
	own, err := c.takeOut(layout.DropIn)
	if err != nil {
		return own, err
	}
	others, err := c.takeOut(c.Layout.Config)
	return append(own, others...), err
}

// takeOut sets the driver of before in a file, or none.
func (c *config) takeOut(file string) ([]string, error) {
	path := c.Layout.Path(file)
	now, err := readIfThere(path)
	if err != nil || now == nil {
		return nil, err
	}
	left := c.record().Untrusted(file)
	saved, err := c.saved(file)
	if err != nil {
		return nil, err
	}
	content, text, err := former(path, now, saved)
	if err != nil || text == "" {
		return left, err
	}
	var did system.Changes
	if err := c.replace(&did, file, content, saved != nil); err != nil {
		return nil, errors.Join(err, did.Rollback())
	}
	c.undone = true
	return append(left, text), nil
}

// saved returns a file as it was before setup, nil where it was not kept.
func (c *config) saved(file string) (*oslo.Conf, error) {
	was, err := c.record().Original(file)
	if err != nil || was.Missing {
		return nil, err
	}
	return oslo.Parse(c.Layout.Path(file), was.Content)
}

// Rollback puts the files back as this run found them.
func (c *config) Rollback(context.Context) ([]string, error) {
	c.undone, c.taken = c.did.Any(), nil
	return c.did.PutBack(c.Layout.Path(c.file))
}

// former returns the content that a file is to have again, nil where it is to be gone, and a sentence on it, an empty one where
// there is nothing to do.
func former(path string, now, saved *oslo.Conf) (content []byte, text string, err error) {
	driver, _, err := now.Get(section, key)
	switch {
	case err != nil:
		return nil, "", err
	case driver != novadriver.Driver && saved == nil:
		return nil, "", nil
	case driver != novadriver.Driver:
		return now.Bytes(), "left " + path + " as it is: it names another driver by now", nil
	case saved == nil && string(now.Bytes()) == created:
		return nil, "removed " + path, nil
	case saved == nil:
		err = now.Remove(section, key)
		return now.Bytes(), fmt.Sprintf("removed %s from %s", key, path), err
	}
	return merge(path, now, saved)
}

// merge returns the saved content where the file was not edited since setup, else the file with the old driver.
func merge(path string, now, saved *oslo.Conf) ([]byte, string, error) {
	before := saved.Bytes()
	driver, found, err := saved.Get(section, key)
	if err != nil {
		return nil, "", err
	}
	if err := saved.Set(section, key, novadriver.Driver); err != nil {
		return nil, "", err
	}
	if bytes.Equal(saved.Bytes(), now.Bytes()) {
		return before, "put back " + path + " as it was", nil
	}
	if !found {
		err = now.Remove(section, key)
		return now.Bytes(), fmt.Sprintf("removed %s from %s, which keeps what was edited since", key, path), err
	}
	err = now.Set(section, key, driver)
	return now.Bytes(), fmt.Sprintf("set %s = %s in %s, which keeps what was edited since", key, driver, path), err
}

// replace writes the content, or removes the file where that is nil, and forgets what was saved of it.
func (c *config) replace(did *system.Changes, file string, content []byte, saved bool) error {
	path := c.Layout.Path(file)
	if content == nil {
		err := did.Remove(path)
		if err == nil && file == layout.DropIn {
			system.RemoveEmpty(filepath.Dir(path)) // stays when it holds more
		}
		return err
	}
	if err := did.Edit(path, content); err != nil || !saved {
		return err
	}
	return c.record().Forget(file)
}
