DELETE FROM absence
