CREATE TABLE parent (
  id int PRIMARY KEY AUTO_INCREMENT, body text CHARACTER SET utf8mb4, raw varbinary(100), b blob,
  at timestamp(6) NOT NULL DEFAULT current_timestamp(6), bits bit(5), j json, d decimal(20,5), f double,
  e enum('a','it''s'), s set('x','y'), g int GENERATED ALWAYS AS (1 + 1) STORED, v int AS (y + 1) VIRTUAL, pt point,
  inv int INVISIBLE DEFAULT 5, y year, t time(3), INDEX (v), FULLTEXT (body)
) COMMENT = 'a; -- b';
INSERT INTO parent (body, raw, b, bits, j, d, f, e, s, pt, y, t, at) VALUES
  ('--\n-- Dumping data for table `fake`\n--\n', 0x00ff0a, 0x1a275c, 5, '{"a": [1, null]}', 1.5, 1e300, 'it''s', 'x,y', point(1, 2), 2020, '10:11:12.5', '2020-01-01'),
  ('\\', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2020-01-02'),
  ('''; DROP DATABASE x; \\! touch stray\n-- Dump completed on', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2020-01-03'),
  ('ä€😀 tab\t cr\r nl\n quote\' " `', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2020-01-04');
CREATE TABLE latin (a varchar(20) CHARACTER SET latin1 COLLATE latin1_german2_ci PRIMARY KEY, b binary(10)) CHARACTER SET latin1;
INSERT INTO latin VALUES ('äöü', 'x');
CREATE TABLE child (id int PRIMARY KEY, p int, CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE, CHECK (id < 1000));
INSERT INTO child VALUES (1, 1), (2, 2);
CREATE TABLE `we``ird; "name" (x)` (`col``; one` int, `values (` text) ENGINE = MyISAM;
INSERT INTO `we``ird; "name" (x)` VALUES (1, 'x'), (2, 'y');
CREATE TABLE `line
end` (a int);
INSERT INTO `line
end` VALUES (1);
CREATE TABLE empty (a int);
CREATE TABLE mem (a int) ENGINE = MEMORY;
INSERT INTO mem VALUES (1);
CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts SELECT seq, 'p' FROM seq_1_to_20;
CREATE TABLE versions (a int) WITH SYSTEM VERSIONING;
INSERT INTO versions VALUES (1);
UPDATE versions SET a = 2;
UPDATE versions SET a = 3;
INSERT INTO versions VALUES (5);
DELETE FROM versions WHERE a = 5;
CREATE SEQUENCE counter START WITH 7 INCREMENT BY 3;
SELECT nextval(counter);
CREATE TABLE counted (id int DEFAULT nextval(counter), v int);
INSERT INTO counted (v) VALUES (1), (2);
CREATE FUNCTION plain(a int) RETURNS varchar(20) DETERMINISTIC RETURN concat('é;', a);
CREATE VIEW zview AS SELECT id, 'x;--' AS `--`, trim(BOTH 'x' FROM body) AS body FROM parent;
CREATE VIEW aview AS SELECT z.id, plain(z.id) AS p FROM zview z;
DELIMITER $$
CREATE TRIGGER before_child BEFORE INSERT ON child FOR EACH ROW BEGIN IF NEW.p IS NULL THEN SET NEW.p = 1; END IF; END$$
CREATE TRIGGER before_child_too BEFORE INSERT ON child FOR EACH ROW FOLLOWS before_child BEGIN SET @x = ';'; END$$
CREATE TRIGGER after_child AFTER UPDATE ON child FOR EACH ROW INSERT INTO empty VALUES (NEW.id)$$
CREATE PROCEDURE touch(IN a int)
BEGIN
  SELECT a; -- it's not ;; the end
  SELECT '$$;;';
END$$
SET sql_mode = 'NO_BACKSLASH_ESCAPES'$$
CREATE FUNCTION slashes() RETURNS text DETERMINISTIC RETURN '\'$$
SET sql_mode = 'ORACLE'$$
CREATE PACKAGE pack AS PROCEDURE p(); END$$
CREATE PACKAGE BODY pack AS PROCEDURE p() AS BEGIN SELECT 1; END; END$$
SET sql_mode = DEFAULT$$
CREATE EVENT awake ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' DO BEGIN SET @a = 1; SET @b = 2; END$$
CREATE EVENT asleep ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'ENABLE' DO SELECT 1$$
DELIMITER ;
