-- Forget the attachment $1, whose content is gone.
DELETE FROM attachment WHERE id = $1
