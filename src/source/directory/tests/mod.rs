//! Both ways together, against stock readers, and against archives made to harm.
