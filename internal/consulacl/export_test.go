package consulacl

// WaitUndone waits until nothing is left to take back.
func (c *Client) WaitUndone() { c.undo.running.Wait() }
